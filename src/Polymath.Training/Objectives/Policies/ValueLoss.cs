using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// PPO's loss of the critic (Schulman et al. 2017, section 5, clipped as in its published program): ½·max((V − R)², (V(old) + clip(V
/// − V(old), −ε, ε) − R)²). REDUCTION: Σ over places / the step's places.
/// </summary>
/// <param name="Clip">ε; null for no clipping.</param>
public sealed record ValueLoss(double? Clip = 0.2)
{
    /// <summary>The loss of each place [places].</summary>
    /// <param name="values">V [places], with a gradient.</param>
    /// <param name="old">V(old) [places].</param>
    /// <param name="returns">R [places].</param>
    public Tensor Each(Tensor values, Tensor old, Tensor returns)
    {
        ArgumentNullException.ThrowIfNull(values);
        var free = (values - returns).square();
        return (Clip is { } clip ? maximum(free, (Held(values, old, clip) - returns).square()) : free) / 2;
    }

    /// <summary>Where the clipped value is the worse one, so that there is no gradient [places], Boolean.</summary>
    /// <param name="values">V [places].</param>
    /// <param name="old">V(old) [places].</param>
    /// <param name="returns">R [places].</param>
    public Tensor Clipped(Tensor values, Tensor old, Tensor returns)
    {
        ArgumentNullException.ThrowIfNull(values);
        return (Held(values, old, Clip ?? double.PositiveInfinity) - returns).square().gt((values - returns).square());
    }

    private static Tensor Held(Tensor values, Tensor old, double clip) => old + (values - old).clamp(-clip, clip);
}
