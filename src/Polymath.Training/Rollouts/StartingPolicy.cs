using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Rollouts;

/// <summary>
/// The policy at the start of a stage: the values that its trained weights had then. They take the place of the present ones while the
/// reference is computed, so that no second model is needed; of an adapter, only its own weights are kept.
/// </summary>
public sealed class StartingPolicy : IDisposable
{
    private readonly List<(Weight Weight, Tensor Kept)> weights;

    /// <summary>Keeps what weights are now.</summary>
    /// <param name="trained">The weights that will be trained.</param>
    public StartingPolicy(IEnumerable<Weight> trained)
    {
        using var frozen = no_grad();
        weights = [.. trained.Select(weight => (weight, weight.Value.detach().clone().DetachFromDisposeScope()))];
    }

    /// <summary>Puts the kept values in place until the result is disposed.</summary>
    public IDisposable In()
    {
        Swap();
        return new Back(this);
    }

    private void Swap()
    {
        using var frozen = no_grad();
        foreach (var (weight, kept) in weights)
        {
            using var now = weight.Value.detach().clone();
            weight.Value.copy_(kept);
            kept.copy_(now);
        }
    }

    /// <summary>Frees the kept values.</summary>
    public void Dispose()
    {
        foreach (var (_, kept) in weights) kept.Dispose();
    }

    private sealed class Back(StartingPolicy policy) : IDisposable
    {
        public void Dispose() => policy.Swap();
    }
}
