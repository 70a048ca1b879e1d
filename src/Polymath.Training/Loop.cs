using System.Diagnostics;
using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
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
    IReadOnlyDictionary<string, double> Metrics)
{
    /// <summary>How long sources that sample took before the step.</summary>
    public TimeSpan Prepared { get; init; }
}

/// <summary>The training step, the same for every stage, objective and method.</summary>
/// <param name="model">The model.</param>
/// <param name="terms">What is learned in each step: one thing, or several at once.</param>
/// <param name="optimizer">The optimizer: its weights, and the data of each group of weights.</param>
/// <param name="schedule">The learning rate of each step.</param>
/// <param name="peers">The processes that train together.</param>
public sealed class Loop(
    LanguageModel model,
    IReadOnlyList<Term> terms,
    OptimizerSet optimizer,
    RateSchedule schedule,
    Peers peers)
{
    /// <summary>
    /// Turns on what applies only while gradients are computed, not while a source samples and scores: dropout, gradient checkpointing. It
    /// ends when the result is disposed.
    /// </summary>
    public Func<IDisposable>? Practice { get; init; }

    /// <summary>Whether the weights of several terms are divided by the norms of their gradients; see <see cref="TermMix"/>.</summary>
    public bool Balanced { get; init; }

    /// <summary>Moves the biases that choose experts after each step; null where they stay.</summary>
    public ExpertBalance? Balance { get; init; }

    /// <summary>Does one step.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <param name="cancellation">Stops a source that samples.</param>
    /// <exception cref="RunFailedException">The loss or the gradient is not a number. The weights are not updated.</exception>
    public StepReport Step(int step, CancellationToken cancellation)
    {
        // Rollouts and the scores of a reference policy are computed by the model without dropout.
        var clock = Stopwatch.StartNew();
        foreach (var term in terms) term.Source.Prepare(step, cancellation);
        var prepared = clock.Elapsed;
        using var cleanup = NewDisposeScope();
        Balance?.Begin();
        var report = terms.Count == 1 ? Alone(step) : Together(step);
        Balance?.Move(peers);
        return report with { Prepared = prepared };
    }

    private StepReport Alone(int step)
    {
        var part = Learned(terms[0], step);
        Move(step, part.Norms, part.Sums.Counts);
        return new StepReport(
            step,
            part.Loss,
            part.Norm,
            schedule.At(step),
            part.Sums.Tokens,
            part.Figures);
    }

    private StepReport Together(int step)
    {
        var mix = new TermMix(optimizer, Balanced);
        var counts = new double[optimizer.Groups.Count];
        long tokens = 0;
        foreach (var term in terms)
        {
            var part = Learned(term, step);
            tokens += part.Sums.Tokens;
            // The gradients of the mix are means already.
            for (var g = 0; g < counts.Length; g++) counts[g] = Math.Max(counts[g], part.Sums.Counts[g] > 0 ? 1 : 0);
            mix.Add(part);
        }
        var (loss, norms, figures) = mix.Set(step);
        Move(step, norms, counts);
        return new StepReport(
            step,
            loss,
            Math.Sqrt(norms.Sum(own => own * own)),
            schedule.At(step),
            tokens,
            figures);
    }

    private TermStep Learned(Term term, int step)
    {
        var part = new TermStep(
            model,
            term,
            optimizer,
            step);
        part.Learn(Practice, peers);
        return part;
    }

    private void Move(int step, IReadOnlyList<double> norms, double[] counts)
    {
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
    }
}
