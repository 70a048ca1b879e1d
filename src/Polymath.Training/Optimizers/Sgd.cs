using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Stochastic gradient descent as <c>torch.optim.SGD</c> has it, without dampening: g ← g + decay·w, b ← momentum·b + g,
/// w ← w - rate·b, or w - rate·(g + momentum·b) with Nesterov's look ahead (Sutskever et al. 2013). Nothing is kept without momentum,
/// else one number of 32 bits for each that is trained.
/// </summary>
public sealed class Sgd : Optimizer
{
    private readonly SgdSpec spec;
    private readonly IReadOnlyList<Tensor> velocities;

    /// <summary>At rest.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public Sgd(WeightGroup group, SgdSpec spec) : base(group)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(spec);
        this.spec = spec;
        velocities = spec.Momentum > 0 ? [.. group.Weights.Select(Zeros)] : [];
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using var scope = NewDisposeScope();
        var g = gradient * move.GradientScale;
        if (Decays(weight) && spec.WeightDecay > 0) g.add_(weight.Value, spec.WeightDecay);
        if (velocities.Count > 0)
        {
            // PyTorch's first momentum is the gradient itself: so is this one, which begins at zero.
            var velocity = velocities[place].mul_(spec.Momentum).add_(g);
            g = spec.Nesterov ? g.add_(velocity, spec.Momentum) : velocity;
        }
        weight.Value.add_(g, -move.Rate);
    }

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place) =>
        velocities.Count > 0 ? [(Velocity, velocities[place])] : [];
}
