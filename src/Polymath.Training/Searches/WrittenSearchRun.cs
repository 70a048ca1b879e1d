using System.Text.RegularExpressions;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Prompts;
using Polymath.Text.Templates;

namespace Polymath.Training.Searches;

/// <summary>
/// A search for templates that a model writes when it is asked: a decoder that says the stage's template in other words, or a T5 that was
/// finetuned on tasks and their templates. In question and answer a field and the mask are written in brackets, <c>[text]</c> and
/// <c>[mask]</c>, which every tokenizer can write.
/// </summary>
/// <param name="task">The task.</param>
/// <param name="writer">The model that writes.</param>
/// <param name="settings">What it is asked, and how often.</param>
internal sealed class WrittenSearchRun(SearchTask task, TextModel writer, WriterSettings settings)
{
    private readonly IReadOnlyList<string> marks = [.. TemplateFields.OfPrompt(task.Template).Append(TemplateFields.Mask).Distinct()];

    /// <summary>The templates that were written and can be read, and how often each was; the most frequent first.</summary>
    /// <param name="cancellation">Stops between two tokens.</param>
    /// <exception cref="InputException">The model does not write, a question is too long, or names a field that the rows lack.</exception>
    internal IReadOnlyList<(string Template, int Times)> All(CancellationToken cancellation)
    {
        TokenGenerator.Check(writer.Model);
        var question = new FieldText(settings.Ask ?? $"Say this in other words, and keep {Shown()}: {{template}}");
        var asked = Enumerable.Range(0, settings.Samples).Select(i => Filled(question, task.Train[i % task.Train.Count])).ToList();
        var sampling = new SamplingSettings(settings.Temperature, MaxNewTokens: settings.MaxLength, Seed: settings.Seed);
        return
        [
            .. writer.Each(asked, sampling, rowsAtOnce: 32, cancellation: cancellation).Select(answer => Read(answer.Text))
                .OfType<string>().CountBy(text => text).Where(pair => task.IsRead(pair.Key)).OrderByDescending(pair => pair.Value)
                .ThenBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value)),
        ];
    }

    private string Shown() => string.Join(", ", marks.Select(mark => $"[{mark}]"));

    private int[] Filled(FieldText question, Row row)
    {
        var fields = new Dictionary<string, string>(row.Fields, StringComparer.Ordinal) { ["template"] = Bracketed() };
        if (question.Parts.FirstOrDefault(part => part.IsField && !fields.ContainsKey(part.Text)) is { Text: { } missing })
            throw new InputException($"--ask names {{{missing}}}, which {row.Name} has not. There is {string.Join(", ", fields.Keys)}.");
        return writer.Contract.Encode([new Turn(question.Fill(fields))], writer.Tokenizer);
    }

    // The template's blocks as a writer reads them: without filters, and with braces that are text.
    private string Bracketed() => string.Concat(PromptTemplate.Written(task.Template, forward: false).Blocks.Select(block =>
        block.Prefix + block switch
        {
            TextBlock text => text.Text,
            FieldBlock field => $"[{field.Field}]",
            MetaBlock meta => $"[{meta.Name}]",
            MaskBlock => $"[{TemplateFields.Mask}]",
            _ => "",
        }));

    // Word pieces have spaces between them, and some tokenizers write small letters only.
    private static Regex Written(string mark) =>
        new($@"\[\s*{Regex.Escape(mark)}\s*\]", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase);

    // The first line with a place for the answer. Braces of the writer's own are text.
    private string? Read(string answer)
    {
        var line = answer.ReplaceLineEndings("\n").Split('\n').Select(line => line.Trim())
            .FirstOrDefault(Written(TemplateFields.Mask).IsMatch);
        if (line is null) return null;
        var text = line.Replace("{", "{{", StringComparison.Ordinal).Replace("}", "}}", StringComparison.Ordinal);
        return marks.Aggregate(text, (made, mark) => Written(mark).Replace(made, _ => $"{{{mark}}}"));
    }
}

/// <summary>How a model is asked for templates.</summary>
/// <param name="Ask">The question, in which <c>{template}</c> is the stage's template and <c>{FIELD}</c> a training row's field; null for
/// one that asks for other words.</param>
/// <param name="Samples">How often it is asked, each time with the next training row.</param>
/// <param name="Temperature">The temperature.</param>
/// <param name="MaxLength">The most tokens of an answer.</param>
/// <param name="Seed">The seed of its draws.</param>
internal sealed record WriterSettings(
    string? Ask,
    int Samples,
    double Temperature,
    int MaxLength,
    long Seed);
