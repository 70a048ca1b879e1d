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

/// <summary>What a step did.</summary>
/// <param name="Step">The step, from 1.</param>
/// <param name="Loss">The mean loss.</param>
/// <param name="GradientNorm">The norm of the whole mean gradient, before clipping; of several adapters the root of their squared norms,
/// each over its own count.</param>
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

/// <summary>The training step, once, for every stage, objective and method.</summary>
/// <param name="model">The model.</param>
/// <param name="objective">What is learned.</param>
/// <param name="source">What it is learned from.</param>
/// <param name="optimizer">How weights move, which, and what each group of them learns from.</param>
/// <param name="schedule">The rate of each step.</param>
/// <param name="batch">How many tokens make a step and a pass.</param>
/// <param name="peers">The processes that train together.</param>
public sealed class Loop(
    LanguageModel model,
    Objective objective,
    ItemSource source,
    AdamW optimizer,
    RateSchedule schedule,
    BatchSpec batch,
    Peers peers)
{
    /// <summary>
    /// What holds while gradients are made, and not while a source samples and scores: dropout, gradient checkpointing. It ends when the
    /// result is disposed.
    /// </summary>
    public Func<IDisposable>? Practice { get; init; }

    /// <summary>Does one step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops a source that samples.</param>
    /// <exception cref="RunFailedException">The loss or the gradient is no number. The weights are not moved.</exception>
    public StepReport Step(int step, CancellationToken cancellation)
    {
        // Rollouts and the scores of a reference policy are made by the model as it is.
        source.Prepare(step, cancellation);
        var start = source.Cursor;
        var items = source.Take(batch.Tokens ?? int.MaxValue, batch.Rows ?? int.MaxValue);
        var sums = new StepSums(optimizer, objective);
        using (Practice?.Invoke())
            foreach (var part in TokenChunks.Of(
                items, item => item.Tokens, batch.MicroTokens ?? int.MaxValue, batch.MicroRows ?? int.MaxValue)) Learn(part, sums);

        // Gradients are sums so far. They are divided once, by the count over all passes and processes: 1 pass of 8 rows and 8 passes of 1
        // row are the same. A group that learns from some rows only is divided by their count: trained beside others, it moves as it would
        // alone.
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

    // One pass: forward and backward over some items.
    private void Learn(IReadOnlyList<Item> part, StepSums sums)
    {
        using var scope = NewDisposeScope();
        using var rows = model.Lay([.. part.SelectMany(item => item.Rows)]);
        var score = objective.Evaluate(model, rows, part);
        var whole = score.Loss;
        for (var g = 0; g < sums.Counts.Length; g++)
        {
            var group = optimizer.Groups[g];
            var own = group.Data is null ? score.Count : part.Where(group.LearnsFrom).Sum(objective.CountOf);
            sums.Counts[g] += own;
            // Losses are sums over targets; what is added counts as much for each of them.
            if (own > 0 && group.Penalty?.Invoke() is { } added) whole = whole + added.sum() * own;
        }
        // Rows of no adapter's data go through the frozen base alone, and so do rows without a token that is trained: there is nothing to
        // go back to.
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
            $"Step {step} gave the loss {loss} and the gradient norm {norm}: no numbers to train on. The batch starts at item "
                + $"{start.Place} of epoch {start.Epoch} and holds {rows.Count} rows: "
                + $"{string.Join(", ", rows.Take(5))}{(rows.Count > 5 ? ", ..." : "")}. The weights were not moved; the last checkpoint is "
                + "kept. Lower the rate or look at these rows.");
    }
}
