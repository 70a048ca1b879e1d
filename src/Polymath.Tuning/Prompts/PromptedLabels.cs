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

    /// <summary>The probability of each label, for each row in order. All rows are looked at before the first is read.</summary>
    /// <param name="rows">The name of each row in messages, and its fields.</param>
    /// <param name="rowsAtOnce">How many are read at once.</param>
    /// <exception cref="InputException">A row has no field that the template asks for, or a row does not fit into the context.</exception>
    public IEnumerable<LabelledAnswer> Read(
        IReadOnlyList<(string Name, IReadOnlyDictionary<string, string> Fields)> rows, int rowsAtOnce)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var fitted = rows.Select(row => Fitted(row.Name, row.Fields)).ToList();
        return Scored(fitted, rowsAtOnce);
    }

    private (TokenRow Row, bool Cut) Fitted(string name, IReadOnlyDictionary<string, string> fields)
    {
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        var rendered = model.Contract.Template.Render(new Labelled(name, fields, ""), prompt);
        var whole = rendered.Tokenize(model.Tokenizer);
        var row = whole.Length > room ? rendered.Tokenize(model.Tokenizer, room) : whole;
        if (row.Length == 0)
            throw new InputException($"{name} has no tokens before the label. Write some words.");
        if (row.Length > room)
            throw new InputException($"{name}: the template alone has {row.Length:N0} tokens, more than the model's context of {room:N0}. "
                + "Use a model with a longer one.");
        return (row, whole.Length > room);
    }

    private IEnumerable<LabelledAnswer> Scored(List<(TokenRow Row, bool Cut)> rows, int rowsAtOnce)
    {
        var labels = task.Labels.Count;
        foreach (var part in rows.Chunk(rowsAtOnce))
        {
            var scores = Scores([.. part.Select(row => row.Row)]);
            for (var i = 0; i < part.Length; i++)
                yield return new LabelledAnswer([.. scores[(i * labels)..((i + 1) * labels)].Select(score => (double)score)], part[i].Cut);
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
