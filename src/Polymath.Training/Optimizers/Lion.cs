using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2): with m a mean of gradients,
/// w ← (1 - rate·decay)·w - rate·sign(β₁·m + (1 - β₁)·g), then m ← β₂·m + (1 - β₂)·g. One number of 32 bits is kept
/// for each that is trained.
/// </summary>
public sealed class Lion : Optimizer
{
    private readonly LionSpec spec;
    private readonly IReadOnlyList<Tensor> averages;

    /// <summary>Means at zero.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public Lion(WeightGroup group, LionSpec spec) : base(group)
    {
        this.spec = spec;
        averages = [.. group.Weights.Select(Zeros)];
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using var scope = NewDisposeScope();
        var average = averages[place];
        var g = gradient * move.GradientScale;
        if (Decays(weight) && spec.WeightDecay > 0) weight.Value.mul_(1 - move.Rate * spec.WeightDecay);
        var direction = (average * spec.Beta1).add_(g, 1 - spec.Beta1).sign_();
        weight.Value.add_(direction, -move.Rate);
        average.mul_(spec.Beta2).add_(g, 1 - spec.Beta2);
    }

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place) => [(Average, averages[place])];
}
