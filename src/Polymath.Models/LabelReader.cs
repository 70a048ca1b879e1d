using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>The result of a head over labels for a text.</summary>
/// <param name="Scores">For each label its probability; the value itself for a regression.</param>
/// <param name="Cut">Whether the text's end was cut off to fit into the context.</param>
public sealed record LabelledAnswer(IReadOnlyList<double> Scores, bool Cut);

/// <summary>Labels texts with a model that has a head over labels.</summary>
public static class LabelReader
{
    /// <summary>The results for texts, in order.</summary>
    /// <param name="model">The model.</param>
    /// <param name="texts">The texts.</param>
    /// <param name="rowsAtOnce">How many are read at once.</param>
    /// <exception cref="InputException">The model has no head over the labels of a row.</exception>
    public static IEnumerable<LabelledAnswer> Read(TextModel model, IReadOnlyList<string> texts, int rowsAtOnce)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(texts);
        var head = model.Model.Labels
            ?? throw new InputException("The model has no head over labels. Train one with a stage of the kind task without a prompt, or "
                + "attach a fresh one: polymath model convert FOLDER --head classify --labels A,B.");
        if (head.Task == LabelTask.Tag)
            throw new InputException("The model's head labels every token, but here a text gets one label. Give a model that "
                + "classifies rows.");
        return Answers(model, head, texts, rowsAtOnce);
    }

    private static IEnumerable<LabelledAnswer> Answers(TextModel model, LabelHead head, IReadOnlyList<string> texts, int rowsAtOnce)
    {
        var reading = new LabelledText(model.Tokenizer);
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        for (var at = 0; at < texts.Count; at += rowsAtOnce)
        {
            var whole = Enumerable.Range(at, Math.Min(rowsAtOnce, texts.Count - at))
                .Select(i => reading.Read($"{i + 1}", texts[i])).ToList();
            List<TokenRow> rows = [.. whole.Select((row, i) => row.Length > room ? reading.Read(row.Source, texts[at + i], room) : row)];
            var scores = Scores(model.Model, head, rows);
            for (var i = 0; i < rows.Count; i++)
                yield return new LabelledAnswer(
                    [.. scores[(i * head.Labels)..((i + 1) * head.Labels)].Select(score => (double)score)], whole[i].Length > room);
        }
    }

    private static float[] Scores(LanguageModel model, LabelHead head, IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay(rows);
        var scores = head.Scores(model.Hidden(batch), batch).to(ScalarType.Float32);
        var shown = head.Task switch { LabelTask.Classify => scores.softmax(-1), LabelTask.MultiLabel => scores.sigmoid(), _ => scores };
        return shown.cpu().contiguous().data<float>().ToArray();
    }
}
