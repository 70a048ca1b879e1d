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
/// <param name="GradientNorm">The norm of the whole mean gradient, before clipping.</param>
/// <param name="Rate">The learning rate.</param>
/// <param name="Tokens">The tokens read.</param>
/// <param name="Metrics">The objective's further figures, as means.</param>
public sealed record StepReport(int Step, double Loss, double GradientNorm, double Rate, long Tokens, IReadOnlyDictionary<string, double> Metrics);

/// <summary>The training step, once, for every stage, objective and method.</summary>
/// <param name="model">The model.</param>
/// <param name="objective">What is learned.</param>
/// <param name="source">What it is learned from.</param>
/// <param name="optimizer">How weights move, and which.</param>
/// <param name="schedule">The rate of each step.</param>
/// <param name="batch">How many tokens make a step and a pass.</param>
/// <param name="clip">The greatest norm of the gradient; 0 for no limit.</param>
/// <param name="peers">The processes that train together.</param>
/// <param name="penalty">What is added to the mean loss of a pass to keep weights in shape; null for nothing.</param>
/// <param name="stepped">Is told of each step when the weights have moved, with the gradients they moved along; null for nobody.</param>
public sealed class Loop(
    LanguageModel model, Objective objective, ItemSource source, AdamW optimizer, RateSchedule schedule, BatchSpec batch, double clip, Peers peers, Func<Tensor?>? penalty = null,
    Action<int, IReadOnlyDictionary<Weight, Tensor>>? stepped = null)
{
    /// <summary>Does one step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops a source that samples.</param>
    /// <exception cref="RunFailedException">The loss or the gradient is no number. The weights are not moved.</exception>
    public StepReport Step(int step, CancellationToken cancellation)
    {
        source.Prepare(step, cancellation);
        var start = source.Cursor;
        var items = source.Take(batch.Tokens);
        double loss = 0, count = 0;
        long tokens = 0;
        var metrics = new Dictionary<string, double>();
        foreach (var part in Parts.Of(items, item => item.Tokens, batch.MicroTokens ?? int.MaxValue))
        {
            using var scope = NewDisposeScope();
            using var rows = model.Lay([.. part.SelectMany(item => item.Rows)]);
            var score = objective.Evaluate(model, rows, part);
            // Losses are sums over targets; what is added counts as much for each of them.
            Fused.Backpropagate(penalty?.Invoke() is { } added ? score.Loss + added.sum() * score.Count : score.Loss);
            loss += score.Loss.item<float>();
            count += score.Count;
            tokens += rows.Tokens;
            foreach (var (name, value) in score.Metrics ?? new Dictionary<string, double>()) metrics[name] = metrics.GetValueOrDefault(name) + value;
        }

        // Gradients are sums so far. They are divided once, by the count over all passes and processes: 1 pass of 8 rows and 8 passes of 1 row are the same.
        using var cleanup = NewDisposeScope();
        var gradients = optimizer.Gradients();
        peers.Sum(gradients);
        Span<double> totals = [loss, count];
        peers.Sum(totals);
        (loss, count) = (totals[0], totals[1]);
        var norm = Math.Sqrt(gradients.Sum(SquareSum.Of)) / count;
        if (!double.IsFinite(loss) || !double.IsFinite(norm)) throw NotANumber(step, loss / count, norm, start, items);
        var rate = schedule.At(step);
        var scale = (clip > 0 && norm > clip ? clip / norm : 1) / count;
        var means = stepped is null ? null : optimizer.Weights.Where(weight => weight.Value.grad is not null).ToDictionary(weight => weight, weight => weight.Value.grad! * scale);
        optimizer.Step(rate, scale);
        stepped?.Invoke(step, means!);
        return new StepReport(step, loss / count, norm, rate, tokens, metrics.ToDictionary(pair => pair.Key, pair => pair.Value / count));
    }

    static RunFailedException NotANumber(int step, double loss, double norm, Cursor start, IReadOnlyList<Item> items)
    {
        var rows = items.SelectMany(item => item.Rows).Select(row => row.Source).Distinct().ToList();
        return new RunFailedException(
            $"Step {step} gave the loss {loss} and the gradient norm {norm}: no numbers to train on. The batch starts at item {start.Place} of epoch {start.Epoch} and holds {rows.Count} rows: "
            + $"{string.Join(", ", rows.Take(5))}{(rows.Count > 5 ? ", ..." : "")}. The weights were not moved; the last checkpoint is kept. Lower the rate or look at these rows.");
    }
}
