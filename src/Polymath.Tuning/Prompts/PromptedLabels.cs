using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Labels rows with a model that is asked by a prompt.</summary>
public sealed class PromptedLabels : IDisposable
{
    private readonly TextModel model;
    private readonly PromptReader prompts;
    private readonly WordVerbalizer verbalizer;
    private readonly IReadOnlyList<TokenRow> contentFree;

    /// <summary>A labeller.</summary>
    /// <param name="model">The model.</param>
    /// <param name="task">The task.</param>
    /// <exception cref="InputException">The model cannot read the task's template or words.</exception>
    public PromptedLabels(TextModel model, PromptTask task)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(task);
        this.model = model;
        prompts = new PromptReader(model, task.Template, task.Cut);
        contentFree = prompts.ContentFree(task.ContentFree);
        verbalizer = TaskWords.Of(task.Labels, task.Words, model.Tokenizer, task.Reading).Verbalizer(contentFree.Count > 0);
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

    private (TokenRow Row, bool Cut) Fitted(string name, IReadOnlyDictionary<string, string> fields)
    {
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        var whole = prompts.Row(name, fields);
        return whole.Length > room ? (prompts.Row(name, fields, room), true) : (whole, false);
    }

    private IEnumerable<LabelledAnswer> Scored(List<(TokenRow Row, bool Cut)> rows, int rowsAtOnce)
    {
        var labels = verbalizer.Table.Labels.Words.Count;
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
        var scores = WordScores.Of(
            model.Model,
            batch,
            rows,
            verbalizer,
            contentFree).to(ScalarType.Float32).softmax(-1);
        return scores.cpu().contiguous().data<float>().ToArray();
    }

    /// <inheritdoc/>
    public void Dispose() => verbalizer.Dispose();
}
