using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts.Searches;

namespace Polymath.Training.Searches;

/// <summary>
/// A search for templates (LM-BFF, Gao et al. 2021, section 5.2): an encoder-decoder fills what stands between a row's text and its label
/// word, by one beam search over all training rows; each template is then scored on the development split.
/// </summary>
/// <param name="task">The task.</param>
/// <param name="writer">The encoder-decoder that writes.</param>
/// <param name="width">The beams.</param>
/// <param name="maxLength">The most tokens that are written.</param>
/// <param name="score">How a beam is scored.</param>
internal sealed class TemplateSearchRun(
    SearchTask task,
    TextModel writer,
    int width,
    int maxLength,
    TemplateScore score = TemplateScore.Logits)
{
    /// <summary>The templates of one form, with their log-likelihoods, the best first.</summary>
    /// <param name="first">Whether the answer stands before the text.</param>
    /// <param name="cancellation">Stops between two beams.</param>
    /// <exception cref="InputException">The writer has no gap tokens.</exception>
    internal IReadOnlyList<(string Template, double Score)> Written(bool first, CancellationToken cancellation)
    {
        var tokens = PromptTokens.Of(writer.Tokenizer);
        if (writer.Model.Reading != Reading.EncoderDecoder || tokens.Sentinels.Count < 3)
            throw new InputException($"A {writer.Model.Configuration["model_type"]} cannot write templates: that needs an encoder-decoder "
                + "with the tokens <extra_id_0> to <extra_id_2>. Name a T5 with --writer.");
        List<string> fields =
            [.. TemplateFields.OfPrompt(task.Template).Distinct().Where(field => field != TemplateFields.Mask)];
        var end = writer.Tokenizer.Encode("a", addSpecialTokens: true)[^1];
        int[] Text(Row row) => writer.Tokenizer.EncodePlain(
            string.Join(' ', fields.Select(field => row.Fields.GetValueOrDefault(field, ""))));
        int[] Word(Row row) => writer.Tokenizer.EncodePlain(task.Words[task.Labels[task.NumberOf(row)]][0].Trim());
        var room = writer.Model.Sizes.ContextLength - 8;
        int[] Source(Row row)
        {
            int[] text = Text(row), word = Word(row);
            text = text[..Math.Min(text.Length, Math.Max(1, room - word.Length))];
            return first
                ? [tokens.Sentinels[0], .. word, tokens.Sentinels[1], .. text, end]
                : [.. text, tokens.Sentinels[0], .. word, tokens.Sentinels[1], end];
        }
        var stop = writer.Tokenizer.EncodePlain(".") is [var only] ? only : -1;
        var beams = TemplateSearch.Find(
            writer.Model,
            [.. task.Train.Select(Source)],
            writer.Model.StartOf([]),
            new TemplateSettings(
                width,
                maxLength,
                Parts: 2,
                tokens.Sentinels,
                end,
                stop,
                [.. writer.Tokenizer.SpecialTokens.Values.Except([.. tokens.Sentinels.Take(3), end])],
                Score: score),
            cancellation);
        var texts = string.Join(' ', fields.Select(field => $"{{{field}}}"));
        string? Template(TemplateBeam beam) => Filled(beam, (tokens.Sentinels, end), texts, first);
        return
        [
            .. beams.Select(beam => (Text: Template(beam), beam.Score)).Where(pair => pair.Text is { } text && task.IsRead(text))
                .Select(pair => (pair.Text!, pair.Score)).DistinctBy(pair => pair.Item1),
        ];
    }

    // What was written behind the first gap, and behind the second one.
    private string? Filled(
        TemplateBeam beam,
        (IReadOnlyList<int> Gaps, int End) marks,
        string texts,
        bool first)
    {
        var (gaps, end) = marks;
        var ids = beam.Ids.ToArray();
        int begin = Array.IndexOf(ids, gaps[0]), middle = Array.IndexOf(ids, gaps[1]);
        if (begin < 0 || middle < begin) return null;
        var last = Array.FindIndex(ids, middle + 1, id => id == gaps[2] || id == end);
        string Part(int from, int to) => writer.Tokenizer.Decode(ids.AsSpan(from, to - from))
            .Replace("{", "{{", StringComparison.Ordinal).Replace("}", "}}", StringComparison.Ordinal).Trim();
        string before = Part(begin + 1, middle), behind = Part(middle + 1, last < 0 ? ids.Length : last);
        var reads = task.Model.Model.Reading;
        // A model that reads forward never reads what follows the answer.
        if (reads == Reading.Decoder) return first ? null : Joined(texts, before, "{mask}");
        return first ? Joined(before, "{mask}", behind, texts) : Joined(texts, before, "{mask}", behind);
    }

    private static string Joined(params string[] parts) => string.Join(' ', parts.Where(part => part.Length > 0));
}
