using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>AdamW (Loshchilov &amp; Hutter 2019, algorithm 2), each weight in one pass over memory. Weights of one dimension are not decayed.</summary>
public sealed class AdamW : IDisposable
{
    readonly OptimizerSpec spec;
    readonly List<(Weight Weight, Tensor First, Tensor Second)> moments = [];

    /// <summary>An optimizer with moments at zero.</summary>
    /// <param name="weights">The weights to move.</param>
    /// <param name="spec">The settings.</param>
    public AdamW(IEnumerable<Weight> weights, OptimizerSpec spec)
    {
        ArgumentNullException.ThrowIfNull(weights);
        this.spec = spec;
        foreach (var weight in weights)
            moments.Add((weight, zeros_like(weight.Value).detach().DetachFromDisposeScope(), zeros_like(weight.Value).detach().DetachFromDisposeScope()));
    }

    /// <summary>The steps done.</summary>
    public long Steps { get; set; }

    /// <summary>The weights that are moved.</summary>
    public IEnumerable<Weight> Weights => moments.Select(entry => entry.Weight);

    /// <summary>The number of elements that are moved.</summary>
    public long Count => moments.Sum(entry => entry.Weight.Count);

    /// <summary>The gradients that are there; the caller frees them.</summary>
    public IReadOnlyList<Tensor> Gradients() => [.. moments.Select(entry => entry.Weight.Value.grad).OfType<Tensor>()];

    /// <summary>Moves the weights and forgets their gradients.</summary>
    /// <param name="rate">The learning rate of this step.</param>
    /// <param name="gradientScale">What gradients are multiplied with first.</param>
    public void Step(double rate, double gradientScale)
    {
        using var frozen = no_grad();
        Steps++;
        foreach (var (weight, first, second) in moments)
        {
            using var gradient = weight.Value.grad;
            if (gradient is null) continue;
            using var dense = gradient.contiguous();
            var decay = weight.Value.dim() > 1 ? spec.WeightDecay : 0;
            AdamWStep.Apply(weight.Value, dense, first, second, new AdamWNumbers(rate * (weight.Name.Contains(".lora_B", StringComparison.Ordinal) || weight.Name.EndsWith(".lora_embedding_B", StringComparison.Ordinal) ? spec.LoraPlusRatio : 1), spec.Beta1, spec.Beta2, spec.Epsilon, decay, Steps, gradientScale));
            weight.ClearGradient();
        }
    }

    /// <summary>The moments, by names that say whose they are.</summary>
    public IReadOnlyDictionary<string, Tensor> State()
    {
        var state = new Dictionary<string, Tensor>();
        foreach (var (weight, first, second) in moments)
        {
            state["first." + weight.Name] = first;
            state["second." + weight.Name] = second;
        }
        return state;
    }

    /// <summary>Frees the moments.</summary>
    public void Dispose()
    {
        foreach (var (_, first, second) in moments)
        {
            first.Dispose();
            second.Dispose();
        }
    }
}
