using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Labels rows with a model that is asked by prompts.</summary>
public sealed class PromptedLabels : IDisposable
{
    private readonly TextModel model;
    private readonly AskedTask asked;
    private readonly IDisposable on;

    /// <summary>A labeller.</summary>
    /// <param name="model">The model.</param>
    /// <param name="task">The task.</param>
    /// <param name="folder">The folder that it was read from.</param>
    /// <exception cref="InputException">The model cannot read the task's template or words.</exception>
    public PromptedLabels(TextModel model, PromptTask task, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        asked = AskedTask.Open(model, task, folder);
        on = asked.On(model.Model);
    }

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

    private (IReadOnlyList<TokenRow> Rows, bool Cut) Fitted(string name, IReadOnlyDictionary<string, string> fields)
    {
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        var whole = asked.Rows(name, fields);
        return whole.Any(row => row.Length > room) ? (asked.Rows(name, fields, room), true) : (whole, false);
    }

    private IEnumerable<LabelledAnswer> Scored(List<(IReadOnlyList<TokenRow> Rows, bool Cut)> rows, int rowsAtOnce)
    {
        var labels = asked.Task.Labels.Count;
        foreach (var part in rows.Chunk(rowsAtOnce))
        {
            var scores = Scores([.. part.SelectMany(row => row.Rows)]);
            for (var i = 0; i < part.Length; i++)
                yield return new LabelledAnswer([.. scores[(i * labels)..((i + 1) * labels)].Select(score => (double)score)], part[i].Cut);
        }
    }

    private float[] Scores(IReadOnlyList<TokenRow> rows)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Model.Lay(rows);
        var scores = asked.Scores(model.Model, batch, rows).exp();
        return scores.cpu().contiguous().data<float>().ToArray();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        on.Dispose();
        asked.Dispose();
    }
}
