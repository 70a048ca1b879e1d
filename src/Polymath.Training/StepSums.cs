using Polymath.Distributed;
using Polymath.Models;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>
/// The sums of a step over its passes and over the processes. Every process sums the same list in the same order, whatever rows it had. A
/// figure that a process did not see is zero, and so is the gradient of a weight that none of its rows reached.
/// </summary>
/// <param name="optimizer">The optimizer whose weights learn.</param>
/// <param name="objective">What is learned, which names its figures.</param>
internal sealed class StepSums(OptimizerSet optimizer, Objective objective)
{
    private readonly Dictionary<string, double> figures = objective.Figures.ToDictionary(name => name, _ => 0.0, StringComparer.Ordinal);

    /// <summary>The sum of the losses.</summary>
    internal double Loss { get; private set; }

    /// <summary>The number by which they are divided.</summary>
    internal double Count { get; private set; }

    /// <summary>The number by which each group's gradient is divided.</summary>
    internal double[] Counts { get; } = new double[optimizer.Groups.Count];

    /// <summary>The tokens that were read.</summary>
    internal long Tokens { get; private set; }

    /// <summary>The objective's figures, as sums.</summary>
    internal IReadOnlyDictionary<string, double> Figures => figures;

    /// <summary>
    /// Each group's gradients, once <see cref="Sum"/> has gathered them; they belong to the tensor scope in which it ran.
    /// </summary>
    internal IReadOnlyList<IReadOnlyList<Tensor>> Gradients { get; private set; } = [];

    /// <summary>Adds a pass.</summary>
    /// <param name="score">The objective's result.</param>
    /// <param name="tokens">The tokens of its rows.</param>
    /// <exception cref="InvalidOperationException">The objective returned a figure that it does not name.</exception>
    internal void Add(Score score, long tokens)
    {
        Loss += score.Loss.item<float>();
        Count += score.Count;
        Tokens += tokens;
        foreach (var (name, value) in score.Metrics ?? new Dictionary<string, double>())
        {
            if (!figures.TryGetValue(name, out var sum))
                throw new InvalidOperationException($"{objective.GetType().Name} gives the figure {name}, which is not among its Figures.");
            figures[name] = sum + value;
        }
    }

    /// <summary>Sums all over the processes.</summary>
    /// <param name="peers">The processes.</param>
    internal void Sum(Peers peers)
    {
        var weights = optimizer.Weights.ToList();
        var has = weights.Select(Reached).ToList();
        double[] totals = [Loss, Count, Tokens, .. Counts, .. objective.Figures.Select(name => figures[name]),
            .. has.Select(there => there ? 1.0 : 0)];
        peers.Sum(totals);
        (Loss, Count, Tokens) = (totals[0], totals[1], (long)totals[2]);
        var at = 3;
        for (var g = 0; g < Counts.Length; g++) Counts[g] = totals[at++];
        foreach (var name in objective.Figures) figures[name] = totals[at++];
        // A weight that only rows of another process reached has a gradient there; here the gradient is zero.
        for (var i = 0; i < weights.Count; i++)
        {
            if (!has[i] && totals[at + i] > 0) weights[i].Value.grad = zeros_like(weights[i].Value).detach();
        }
        Gradients = [.. Counts.Select((_, group) => optimizer.Gradients(group))];
        peers.Sum([.. Gradients.SelectMany(own => own)]);
    }

    private static bool Reached(Weight weight)
    {
        using var gradient = weight.Value.grad;
        return gradient is not null;
    }
}
