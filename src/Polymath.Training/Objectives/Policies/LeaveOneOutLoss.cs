using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// RLOO's loss (Ahmadian et al. 2024, with PPO's clipping): −min(ρA, clip(ρ)A) of whole rows, ρ = exp(Σ log π − Σ log π(old)).
/// KL is part of the reward. REDUCTION: Σ over rows / the step's rows; a row without tokens has the ratio 1 and counts.
/// </summary>
/// <param name="Low">ε.</param>
/// <param name="High">ε′.</param>
public sealed record LeaveOneOutLoss(double Low, double High)
{
    /// <summary>The loss of each row [rows].</summary>
    /// <param name="policy">log π of each token, with a gradient.</param>
    /// <param name="old">log π of the policy that sampled [tokens].</param>
    /// <param name="advantages">The advantage of each row [rows].</param>
    public Tensor Each(TokenValues policy, Tensor old, Tensor advantages) =>
        new ClippedLoss(Low, High).Of(Ratios(policy, old), advantages);

    /// <summary>ρ of each row [rows].</summary>
    /// <param name="policy">log π of each token.</param>
    /// <param name="old">log π of the policy that sampled [tokens].</param>
    public static Tensor Ratios(TokenValues policy, Tensor old)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.Rows.Sums(policy.Each - old).exp();
    }
}
