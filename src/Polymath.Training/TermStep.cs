using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>
/// One term's part of a step: its items go through the model in passes, and its losses and gradients are summed over passes and processes.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="term">The term.</param>
/// <param name="optimizer">The optimizer whose weights learn.</param>
/// <param name="step">The step, from 1.</param>
internal sealed class TermStep(
    LanguageModel model,
    Term term,
    OptimizerSet optimizer,
    int step)
{
    private readonly StepSums sums = new(optimizer, term.Objective);
    private Cursor start;
    private IReadOnlyList<Item> items = [];

    /// <summary>The term.</summary>
    internal Term Term => term;

    /// <summary>The sums over all passes and processes.</summary>
    internal StepSums Sums => sums;

    /// <summary>The mean loss.</summary>
    internal double Loss => sums.Loss / sums.Count;

    /// <summary>The norm of each group's mean gradient; 0 for a group that no item belongs to.</summary>
    internal IReadOnlyList<double> Norms { get; private set; } = [];

    /// <summary>The norm of the whole mean gradient; for several groups, the root of the sum of their squared norms.</summary>
    internal double Norm => Norms.Count == 1 ? Norms[0] : Math.Sqrt(Norms.Sum(own => own * own));

    /// <summary>The objective's figures, as means.</summary>
    internal IReadOnlyDictionary<string, double> Figures => sums.Figures.ToDictionary(pair => pair.Key, pair => pair.Value / sums.Count);

    /// <summary>Takes the items, and computes their gradients; the gradients belong to the tensor scope in which this runs.</summary>
    /// <param name="practice">Turns on what applies only while gradients are computed.</param>
    /// <param name="peers">The processes that train together.</param>
    /// <exception cref="RunFailedException">The loss or the gradient is not a number.</exception>
    internal void Learn(Func<IDisposable>? practice, Peers peers)
    {
        start = term.Source.Cursor;
        items = term.Source.Take(term.Batch.Tokens ?? int.MaxValue, term.Batch.Rows ?? int.MaxValue);
        var parts = Parts();
        var whole = CountsOf(peers);
        using (practice?.Invoke())
        {
            term.Objective.Begin(model, parts);
            foreach (var part in parts) Learn(part, whole);
        }
        // Gradients are sums so far. They are divided once, by the count over all passes and processes, so 1 pass of 8 rows and 8 passes of
        // 1 row give the same. The gradient of a group that learns from some rows only is divided by the count of these rows, so the group
        // is updated as if it were trained alone.
        sums.Sum(peers);
        Norms = [.. sums.Counts.Select((own, group) => own > 0 ? Math.Sqrt(sums.Gradients[group].Sum(SquareSum.Of)) / own : 0)];
        if (!double.IsFinite(sums.Loss) || !double.IsFinite(Norm)) throw NotANumber();
    }

    // Answers to one prompt share it in a pass, so that they are put next to each other.
    private List<List<Item>> Parts()
    {
        long tokens = term.Batch.MicroTokens ?? int.MaxValue;
        var rows = term.Batch.MicroRows ?? int.MaxValue;
        return term.Objective.SharesBeginnings && model.SharesBeginnings
            ? [.. SharedItems.Chunks(SharedItems.Grouped(items), tokens, rows)]
            : [.. TokenChunks.Of(items, item => item.Tokens, tokens, rows)];
    }

    // What the step counts over all processes.
    private StepCounts CountsOf(Peers peers)
    {
        var own = Objective.CountsOf(items);
        double[] counts = [own.Rows, own.Tokens, own.Places];
        peers.Sum(counts);
        return new StepCounts(counts[0], counts[1], counts[2]);
    }

    // One pass: forward and backward over some items.
    private void Learn(IReadOnlyList<Item> part, StepCounts counts)
    {
        using var scope = NewDisposeScope();
        using var rows = model.Lay([.. part.SelectMany(item => item.Rows)], term.Objective.SharesBeginnings);
        var score = term.Objective.Evaluate(
            model,
            rows,
            part,
            counts);
        var whole = score.Loss;
        for (var g = 0; g < sums.Counts.Length; g++)
        {
            var group = optimizer.Groups[g];
            var own = group.Data is null ? score.Count : part.Where(group.LearnsFrom).Sum(term.Objective.CountOf);
            sums.Counts[g] += own;
            // Losses are sums over targets; a penalty is added once for each target.
            if (own > 0 && group.Penalty?.Invoke() is { } added) whole = whole + added.sum() * own;
        }
        // Rows that belong to no adapter's data, and rows without a trained token, go through the frozen base only: there is no gradient.
        if (whole.requires_grad) Fused.Backpropagate(whole);
        sums.Add(score, rows.GivenTokens);
    }

    private RunFailedException NotANumber()
    {
        var rows = items.SelectMany(item => item.Rows).Select(row => row.Source).Distinct().ToList();
        var of = term.Name.Length == 0 ? "" : $" in the term {term.Name}";
        return new RunFailedException(
            $"Step {step} gave the loss {Loss} and the gradient norm {Norm}{of}, which is not a number. The batch starts at item "
                + $"{start.Place} of epoch {start.Epoch} and holds {rows.Count} rows: "
                + $"{string.Join(", ", rows.Take(5))}{(rows.Count > 5 ? ", ..." : "")}. The weights were not updated; the last checkpoint "
                + "is kept. Lower the rate or look at these rows.");
    }
}
