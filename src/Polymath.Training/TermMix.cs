using Polymath.Models;
using Polymath.Tensors.Kernels;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Training;

/// <summary>
/// The weighted sum of the mean gradients of several terms. Each term's gradient is computed alone, so its norm, and the cosine between it
/// and each other term's, are known: a cosine below 0 says that two terms pull apart.
/// </summary>
/// <param name="optimizer">The optimizer whose weights learn.</param>
/// <param name="balanced">Whether each term's weight is also divided by its gradient's norm, relative to the weighted mean of the
/// norms.</param>
internal sealed class TermMix(OptimizerSet optimizer, bool balanced)
{
    private readonly List<(TermStep Step, Dictionary<Weight, Tensor> Gradients)> parts = [];

    /// <summary>Takes over the gradients of a term, which leaves none behind for the next.</summary>
    /// <param name="step">The term's part of the step.</param>
    internal void Add(TermStep step)
    {
        var gradients = new Dictionary<Weight, Tensor>();
        for (var g = 0; g < optimizer.Groups.Count; g++)
        {
            foreach (var weight in optimizer.Groups[g].Weights)
            {
                if (step.Sums.Counts[g] > 0 && weight.Value.grad is { } gradient)
                    gradients[weight] = gradient.mul_(1 / step.Sums.Counts[g]);
                weight.Value.grad = null;
            }
        }
        parts.Add((step, gradients));
    }

    /// <summary>Sets the gradients of the mix.</summary>
    /// <param name="step">The step, from 1.</param>
    /// <returns>The weighted loss, the norm of each group's gradient, and the figures of the terms.</returns>
    internal (double Loss, IReadOnlyList<double> Norms, Dictionary<string, double> Figures) Set(int step)
    {
        var figures = Cosines();
        var weights = Weights(step);
        for (var t = 0; t < parts.Count; t++)
        {
            var (part, name) = (parts[t].Step, parts[t].Step.Term.Name);
            figures[$"{name} loss"] = part.Loss;
            figures[$"{name} gradient"] = part.Norm;
            figures[$"{name} weight"] = weights[t];
            foreach (var (figure, value) in part.Figures) figures[$"{name} {figure}"] = value;
        }
        foreach (var weight in optimizer.Weights)
        {
            Tensor? sum = null;
            for (var t = 0; t < parts.Count; t++)
            {
                if (!parts[t].Gradients.TryGetValue(weight, out var gradient)) continue;
                sum = sum is null ? gradient * weights[t] : sum.add_(gradient, weights[t]);
            }
            if (sum is not null) weight.Value.grad = sum;
        }
        List<double> norms =
        [
            .. optimizer.Groups.Select(group => Math.Sqrt(
                group.Weights.Select(weight => weight.Value.grad).OfType<Tensor>().Sum(SquareSum.Of))),
        ];
        return (parts.Select((part, t) => part.Step.Loss * weights[t]).Sum(), norms, figures);
    }

    private double[] Weights(int step)
    {
        double[] weights = [.. parts.Select(part => part.Step.Term.Weight?.Invoke(step) ?? 1)];
        if (!balanced) return weights;
        double[] norms = [.. parts.Select(part => part.Step.Norm)];
        var mean = weights.Zip(norms, (weight, norm) => weight * norm).Sum() / weights.Sum();
        return [.. weights.Select((weight, t) => norms[t] > 0 ? weight * mean / norms[t] : weight)];
    }

    private Dictionary<string, double> Cosines()
    {
        var cosines = new Dictionary<string, double>();
        for (var a = 0; a < parts.Count; a++)
        {
            for (var b = a + 1; b < parts.Count; b++)
            {
                var length = parts[a].Step.Norm * parts[b].Step.Norm;
                cosines[$"cosine {parts[a].Step.Term.Name} {parts[b].Step.Term.Name}"] = length > 0 ? Product(a, b) / length : 0;
            }
        }
        return cosines;
    }

    private double Product(int a, int b) => parts[a].Gradients.Sum(pair =>
    {
        if (!parts[b].Gradients.TryGetValue(pair.Key, out var other)) return 0;
        using var product = (pair.Value * other).sum(ScalarType.Float64);
        return product.item<double>();
    });
}
