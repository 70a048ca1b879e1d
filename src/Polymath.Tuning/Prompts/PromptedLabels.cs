using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>What one prompt says of a text.</summary>
/// <param name="Template">The prompt's template.</param>
/// <param name="Share">Its share in the answer.</param>
/// <param name="Probabilities">The probability of each label.</param>
/// <param name="Words">The words of the label that the task names, with their probabilities among all labels' words, the greatest first;
/// empty where no words are read.</param>
public sealed record PromptReason(
    string Template,
    double Share,
    IReadOnlyList<double> Probabilities,
    IReadOnlyList<(string Word, double Probability)> Words);

/// <summary>A text's labels as prompts read them.</summary>
/// <param name="Answer">The probability of each label.</param>
/// <param name="Reasons">What each prompt says, the one that speaks most for the named label first; empty where it was not asked.</param>
public sealed record PromptedAnswer(LabelledAnswer Answer, IReadOnlyList<PromptReason> Reasons)
{
    /// <summary>The answers to the questions of a chain before the last one, by their names.</summary>
    public IReadOnlyList<(string Name, string Text)> Answers { get; init; } = [];
}

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
    /// <param name="why">Whether reasons are given.</param>
    /// <exception cref="InputException">A row has no field that the template asks for, or a row does not fit into the context.</exception>
    public IEnumerable<PromptedAnswer> Read(
        IReadOnlyList<(string Name, IReadOnlyDictionary<string, string> Fields)> rows,
        int rowsAtOnce,
        bool why = false)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (asked.Chain is { } chain) return Chained(chain, rows, rowsAtOnce);
        var fitted = rows.Select(row => Fitted(row.Name, row.Fields)).ToList();
        return Scored(fitted, rowsAtOnce, why);
    }

    private IEnumerable<PromptedAnswer> Chained(
        AskedChain chain,
        IReadOnlyList<(string Name, IReadOnlyDictionary<string, string> Fields)> rows,
        int rowsAtOnce) => rows.Chunk(rowsAtOnce).SelectMany(part => chain.Read(
            model.Model,
            [.. part.Select(row => new ChainText(row.Name, row.Fields))],
            model.Model.Sizes.ContextLength - model.Model.VirtualTokens)).Select(answer =>
        new PromptedAnswer(new LabelledAnswer(answer.Probabilities, answer.Cut), []) { Answers = answer.Answers });

    private (IReadOnlyList<TokenRow> Rows, bool Cut) Fitted(string name, IReadOnlyDictionary<string, string> fields)
    {
        var room = model.Model.Sizes.ContextLength - model.Model.VirtualTokens;
        return (asked.Rows(name, fields, room), asked.Longest(name, fields).Length > room);
    }

    private IEnumerable<PromptedAnswer> Scored(List<(IReadOnlyList<TokenRow> Rows, bool Cut)> rows, int rowsAtOnce, bool why)
    {
        foreach (var part in rows.Chunk(rowsAtOnce))
        {
            List<TokenRow> laid = [.. part.SelectMany(row => row.Rows)];
            var answers = why ? Reasoned(laid, [.. part.Select(row => row.Cut)]) : Plain(laid, [.. part.Select(row => row.Cut)]);
            foreach (var answer in answers) yield return answer;
        }
    }

    private List<PromptedAnswer> Plain(List<TokenRow> rows, bool[] cut)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Model.Lay(rows, asked.SharesBeginnings);
        var scores = Values(asked.Scores(model.Model, batch, rows).exp());
        return [.. cut.Select((one, i) => new PromptedAnswer(new LabelledAnswer(Row(scores, i), one), []))];
    }

    private List<PromptedAnswer> Reasoned(List<TokenRow> rows, bool[] cut)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Model.Lay(rows, asked.SharesBeginnings);
        var found = asked.Why(model.Model, batch, rows);
        var together = Values(found.Together.exp());
        var each = asked.Prompts.Select((_, p) => Values(found.Each[p].exp())).ToList();
        return [.. cut.Select((one, i) =>
        {
            var probabilities = Row(together, i);
            var best = probabilities.Index().MaxBy(pair => pair.Item).Index;
            return new PromptedAnswer(
                new LabelledAnswer(probabilities, one),
                [
                    .. asked.Prompts.Select((_, p) => new PromptReason(
                        asked.Task.Prompts[p].Template,
                        found.Shares[p],
                        Row(each[p], i),
                        Words(p, found.Words[p]?[i][best], best))).OrderByDescending(reason => reason.Share * reason.Probabilities[best]),
                ]);
        })];
    }

    // The words of one label by their probabilities [W].
    private IReadOnlyList<(string, double)> Words(int prompt, Tensor? shares, int label)
    {
        if (shares is null) return [];
        var values = Values(shares);
        return [.. asked.Prompts[prompt].Words!.Words.Words[label].Select((word, w) => (word, (double)values[w]))
            .OrderByDescending(pair => pair.Item2)];
    }

    private List<double> Row(float[] values, int row)
    {
        var labels = asked.Task.Labels.Count;
        return [.. values[(row * labels)..((row + 1) * labels)].Select(value => (double)value)];
    }

    private static float[] Values(Tensor values) => values.to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();

    /// <inheritdoc/>
    public void Dispose()
    {
        on.Dispose();
        asked.Dispose();
    }
}
