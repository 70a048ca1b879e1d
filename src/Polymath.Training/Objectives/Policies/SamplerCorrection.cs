using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>What becomes of a weight out of bounds.</summary>
public enum OutOfBounds
{
    /// <summary>It is set to the bound.</summary>
    Truncate,

    /// <summary>It is set to 0.</summary>
    Mask,
}

/// <summary>
/// Weights for tokens that another program sampled, whose log-probabilities differ a little from ours (Yao et al. 2025): ratios our old
/// policy / sampler, by token or by row (the product over its tokens), within bounds. Losses are multiplied by them before KL is added.
/// </summary>
/// <param name="WholeRows">Whether a row has one ratio.</param>
/// <param name="Beyond">What becomes of a ratio out of bounds.</param>
/// <param name="Most">The upper bound.</param>
/// <param name="Least">The lower bound; null for none.</param>
public sealed record SamplerCorrection(bool WholeRows, OutOfBounds Beyond, double Most, double? Least = null)
{
    /// <summary>The weights [tokens], without a gradient.</summary>
    /// <param name="old">log π of our old policy.</param>
    /// <param name="sampler">log π of the sampler [tokens].</param>
    public Tensor Weights(TokenValues old, Tensor sampler)
    {
        ArgumentNullException.ThrowIfNull(old);
        var logs = (old.Each - sampler).detach();
        var ratios = (WholeRows ? old.Rows.Spread(old.Rows.Sums(logs)) : logs).exp();
        var least = Least ?? 0;
        return Beyond == OutOfBounds.Truncate
            ? ratios.clamp(least, Most)
            : where(ratios.ge(least).logical_and(ratios.le(Most)), ratios, zeros_like(ratios));
    }
}

/// <summary>
/// Leaves out rows with A &lt; 0 that the policy has moved too far away from (DeepSeek-V3.2, 2025): those whose mean log π(old) − log π
/// is above a threshold.
/// </summary>
/// <param name="Threshold">The threshold.</param>
public sealed record OffPolicyMask(double Threshold)
{
    /// <summary>1 for a row that is kept, 0 for one left out [rows], without a gradient.</summary>
    /// <param name="policy">log π of each token.</param>
    /// <param name="old">log π of the policy, or the program, that sampled [tokens].</param>
    /// <param name="advantages">The advantage of each row [rows].</param>
    public Tensor Rows(TokenValues policy, Tensor old, Tensor advantages)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(advantages);
        var moved = policy.Rows.Means((old - policy.Each).detach());
        return advantages.ge(0).logical_or(moved.le(Threshold)).to(policy.Each.dtype);
    }
}

/// <summary>
/// Learns from the most uncertain tokens only (Wang et al. 2025). The threshold is a quantile over all counted tokens of the STEP; KL is
/// not masked.
/// </summary>
/// <param name="Share">The share of tokens that is kept.</param>
public sealed record EntropyMask(double Share)
{
    /// <summary>The least entropy that is kept: the quantile 1 − share, interpolated linearly.</summary>
    /// <param name="entropies">The entropies of the step's counted tokens [tokens].</param>
    public double Threshold(Tensor entropies)
    {
        ArgumentNullException.ThrowIfNull(entropies);
        var sorted = entropies.detach().cpu().to(ScalarType.Float64).data<double>().Order().ToArray();
        if (sorted.Length == 0) return double.NegativeInfinity;
        // A place that is a whole number but for rounding is that number.
        var place = Math.Round((1 - Share) * (sorted.Length - 1), 9);
        var below = Math.Clamp((int)Math.Floor(place), 0, sorted.Length - 1);
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
    }

    /// <summary>1 for a token that is kept, 0 for one left out [tokens].</summary>
    /// <param name="entropies">The entropies [tokens].</param>
    /// <param name="threshold">The step's threshold.</param>
    public static Tensor Tokens(Tensor entropies, double threshold)
    {
        ArgumentNullException.ThrowIfNull(entropies);
        return entropies.detach().to(ScalarType.Float64).ge(threshold).to(entropies.dtype);
    }
}
