using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>The result of a step.</summary>
/// <param name="Step">The step, from 1.</param>
/// <param name="Loss">The mean loss.</param>
/// <param name="GradientNorm">The norm of the whole mean gradient, before clipping; for several adapters, the root of the sum of their
/// squared norms, each divided by its own count.</param>
/// <param name="Rate">The learning rate.</param>
/// <param name="Tokens">The tokens read.</param>
/// <param name="Metrics">The objective's further figures, as means.</param>
public sealed record StepReport(
    int Step,
    double Loss,
    double GradientNorm,
    double Rate,
    long Tokens,
    IReadOnlyDictionary<string, double> Metrics);

/// <summary>The training step, the same for every stage, objective and method.</summary>
/// <param name="model">The model.</param>
/// <param name="objective">What is learned.</param>
/// <param name="source">The items.</param>
/// <param name="optimizer">The optimizer: its weights, and the data of each group of weights.</param>
/// <param name="schedule">The learning rate of each step.</param>
/// <param name="batch">The number of tokens of a step and of a pass.</param>
/// <param name="peers">The processes that train together.</param>
public sealed class Loop(
    LanguageModel model,
    Objective objective,
    ItemSource source,
    OptimizerSet optimizer,
    RateSchedule schedule,
    BatchSpec batch,
    Peers peers)
{
    /// <summary>
    /// Turns on what applies only while gradients are computed, not while a source samples and scores: dropout, gradient checkpointing. It
    /// ends when the result is disposed.
    /// </summary>
    public Func<IDisposable>? Practice { get; init; }

    /// <summary>Does one step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops a source that samples.</param>
    /// <exception cref="RunFailedException">The loss or the gradient is not a number. The weights are not updated.</exception>
    public StepReport Step(int step, CancellationToken cancellation)
    {
        // Rollouts and the scores of a reference policy are computed by the model without dropout.
        source.Prepare(step, cancellation);
        var start = source.Cursor;
        var items = source.Take(batch.Tokens ?? int.MaxValue, batch.Rows ?? int.MaxValue);
        var sums = new StepSums(optimizer, objective);
        List<List<Item>> parts =
            [.. TokenChunks.Of(items, item => item.Tokens, batch.MicroTokens ?? int.MaxValue, batch.MicroRows ?? int.MaxValue)];
        var whole = CountsOf(items);
        using (Practice?.Invoke())
        {
            objective.Begin(model, parts);
            foreach (var part in parts) Learn(part, whole, sums);
        }

        // Gradients are sums so far. They are divided once, by the count over all passes and processes, so 1 pass of 8 rows and 8 passes of
        // 1 row give the same. The gradient of a group that learns from some rows only is divided by the count of these rows, so the group
        // is updated as if it were trained alone.
        using var cleanup = NewDisposeScope();
        sums.Sum(peers);
        var (loss, count, counts, gradients) = (sums.Loss, sums.Count, sums.Counts, sums.Gradients);
        var norms = counts.Select((own, group) => own > 0 ? Math.Sqrt(gradients[group].Sum(SquareSum.Of)) / own : 0).ToList();
        var norm = norms.Count == 1 ? norms[0] : Math.Sqrt(norms.Sum(own => own * own));
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
            throw NotANumber(
                step,
                loss / count,
                norm,
                start,
                items);
        for (var g = 0; g < counts.Length; g++)
        {
            var group = optimizer.Groups[g];
            if (counts[g] == 0)
            {
                optimizer.Skip(g);
                continue;
            }
            var scale = (group.Spec.Clip > 0 && norms[g] > group.Spec.Clip ? group.Spec.Clip / norms[g] : 1) / counts[g];
            var means = group.Stepped is null
                ? null
                : group.Weights.Where(weight => weight.Value.grad is not null)
                    .ToDictionary(weight => weight, weight => weight.Value.grad! * scale);
            optimizer.Step(schedule.To(group.Spec.Rate).At(step), scale, g);
            group.Stepped?.Invoke(step, means!);
        }
        return new StepReport(
            step,
            loss / count,
            norm,
            schedule.At(step),
            sums.Tokens,
            sums.Figures.ToDictionary(pair => pair.Key, pair => pair.Value / count));
    }

    // What the step counts over all processes.
    private StepCounts CountsOf(IReadOnlyList<Item> items)
    {
        var own = Objective.CountsOf(items);
        double[] counts = [own.Rows, own.Tokens];
        peers.Sum(counts);
        return new StepCounts(counts[0], counts[1]);
    }

    // One pass: forward and backward over some items.
    private void Learn(IReadOnlyList<Item> part, StepCounts step, StepSums sums)
    {
        using var scope = NewDisposeScope();
        using var rows = model.Lay([.. part.SelectMany(item => item.Rows)]);
        var score = objective.Evaluate(
            model,
            rows,
            part,
            step);
        var whole = score.Loss;
        for (var g = 0; g < sums.Counts.Length; g++)
        {
            var group = optimizer.Groups[g];
            var own = group.Data is null ? score.Count : part.Where(group.LearnsFrom).Sum(objective.CountOf);
            sums.Counts[g] += own;
            // Losses are sums over targets; a penalty is added once for each target.
            if (own > 0 && group.Penalty?.Invoke() is { } added) whole = whole + added.sum() * own;
        }
        // Rows that belong to no adapter's data, and rows without a trained token, go through the frozen base only: there is no gradient.
        if (whole.requires_grad) Fused.Backpropagate(whole);
        sums.Add(score, rows.Tokens);
    }

    private static RunFailedException NotANumber(
        int step,
        double loss,
        double norm,
        Cursor start,
        IReadOnlyList<Item> items)
    {
        var rows = items.SelectMany(item => item.Rows).Select(row => row.Source).Distinct().ToList();
        return new RunFailedException(
            $"Step {step} gave the loss {loss} and the gradient norm {norm}, which is not a number. The batch starts at item "
                + $"{start.Place} of epoch {start.Epoch} and holds {rows.Count} rows: "
                + $"{string.Join(", ", rows.Take(5))}{(rows.Count > 5 ? ", ..." : "")}. The weights were not updated; the last checkpoint "
                + "is kept. Lower the rate or look at these rows.");
    }
}
