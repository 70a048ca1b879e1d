using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Labels rows with a model that has learned a task with a prompt.</summary>
/// <param name="model">The model.</param>
/// <param name="task">The task.</param>
public sealed class PromptedLabels(TextModel model, PromptTask task)
{
    private readonly Verbalizer verbalizer = new(task.Labels, task.Words, model.Tokenizer);
    private readonly FieldText prompt = new(task.Template);

    /// <summary>The probability of each label, for each row in order.</summary>
    /// <param name="rows">The fields of each row.</param>
    /// <param name="rowsAtOnce">How many are read at once.</param>
    /// <exception cref="InputException">A row has no field that the template asks for, or a row does not fit into the context.</exception>
    public IEnumerable<LabelledAnswer> Read(IReadOnlyList<IReadOnlyDictionary<string, string>> rows, int rowsAtOnce)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        foreach (var part in rows.Index().Chunk(rowsAtOnce))
        {
            List<Rendering> rendered = [.. part.Select(row =>
                model.Contract.Template.Render(new Labelled($"row {row.Index + 1}", row.Item, ""), prompt))];
            List<TokenRow> whole = [.. rendered.Select(row => row.Tokenize(model.Tokenizer))];
            List<TokenRow> fitting =
                [.. whole.Select((row, i) => row.Length > room ? rendered[i].Tokenize(model.Tokenizer, room) : row)];
            foreach (var row in fitting.Where(row => row.Length > room || row.Length == 0))
                throw new InputException(row.Length == 0
                    ? $"{row.Source} has no tokens before the label. Write some words."
                    : $"{row.Source}: the template alone has {row.Length:N0} tokens, more than the model's context of {room:N0}. Use a "
                        + "model with a longer one.");
            var scores = Scores(fitting);
            var labels = task.Labels.Count;
            for (var i = 0; i < fitting.Count; i++)
                yield return new LabelledAnswer(
                    [.. scores[(i * labels)..((i + 1) * labels)].Select(score => (double)score)], whole[i].Length > room);
        }
    }

    private float[] Scores(IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Model.Lay(rows);
        var states = model.Model.Hidden(batch).index_select(0, batch.LastPlaces().to(model.Model.Device));
        var scores = verbalizer.Scores(model.Model.Unembed(states, verbalizer.Tokens)).to(ScalarType.Float32).softmax(-1);
        return scores.cpu().contiguous().data<float>().ToArray();
    }
}
