using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// A policy-gradient loss of sampled tokens. Every loss gives a value for each token, so that masks, corrections, KL and entropy terms
/// apply to all of them alike; a <see cref="TokenAverage"/> then says what is divided by what. A loss of whole rows gives its value to each
/// of the row's tokens. REDUCTION: none here.
/// </summary>
public abstract record PolicyLoss
{
    /// <summary>The loss of each token [tokens].</summary>
    /// <param name="tokens">The tokens.</param>
    public abstract Tensor Each(PolicyTokens tokens);

    /// <summary>What importance ratios are taken over.</summary>
    public virtual RatioLevel Level => RatioLevel.Token;
}

/// <summary>
/// The clipped surrogate (PPO, Schulman et al. 2017, eq. 7; GRPO, Shao et al. 2024, eq. 3; DAPO's two ε, Yu et al. 2025, eq. 8):
/// −min(min(ρ, δ)·A, clip(ρ, 1 − ε, 1 + ε′)·A).
/// </summary>
/// <param name="Low">ε.</param>
/// <param name="High">ε′.</param>
/// <param name="Over">What ratios are taken over.</param>
/// <param name="Most">δ, a bound of the ratio that is not clipped, above 1 + ε′; null for none (two-sided GRPO, Prime Intellect
/// 2025).</param>
public sealed record ClippedLoss(double Low, double High, RatioLevel Over = RatioLevel.Token, double? Most = null) : PolicyLoss
{
    /// <inheritdoc/>
    public override RatioLevel Level => Over;

    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var ratios = tokens.Ratios(Over);
        return Each(Most is { } most ? ratios.clamp(max: most) : ratios, ratios, tokens.Advantages);
    }

    /// <summary>The loss of ratios at any level [n].</summary>
    /// <param name="ratios">ρ [n].</param>
    /// <param name="advantages">A [n].</param>
    public Tensor Of(Tensor ratios, Tensor advantages) => Each(ratios, ratios, advantages);

    private Tensor Each(Tensor free, Tensor ratios, Tensor advantages) =>
        minimum(free * advantages, ratios.clamp(1 - Low, 1 + High) * advantages).neg();

    /// <summary>Where clipping takes the gradient away: below for A &lt; 0, above for A &gt; 0 [n], Boolean.</summary>
    /// <param name="ratios">ρ [n].</param>
    /// <param name="advantages">A [n].</param>
    public (Tensor Below, Tensor Above) Clipped(Tensor ratios, Tensor advantages)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        ArgumentNullException.ThrowIfNull(advantages);
        return (ratios.lt(1 - Low).logical_and(advantages.lt(0)), ratios.gt(1 + High).logical_and(advantages.gt(0)));
    }
}
