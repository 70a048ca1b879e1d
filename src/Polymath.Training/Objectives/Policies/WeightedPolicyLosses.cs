using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// CISPO (MiniMax 2025, eq. 4 and 5): −sg(min(ρ, c))·A·log π. The cap c is the ratio itself, not its distance from 1; every token
/// keeps a gradient.
/// </summary>
/// <param name="Most">c.</param>
/// <param name="Over">What ratios are taken over.</param>
public sealed record CappedWeightLoss(double Most, RatioLevel Over = RatioLevel.Token) : PolicyLoss
{
    /// <inheritdoc/>
    public override RatioLevel Level => Over;

    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return (tokens.Ratios(Over).detach().clamp(max: Most) * tokens.Advantages * tokens.Policy.Each).neg();
    }

    /// <summary>Where the cap holds for A &gt; 0 [n], Boolean.</summary>
    /// <param name="ratios">ρ [n].</param>
    /// <param name="advantages">A [n].</param>
    public Tensor Capped(Tensor ratios, Tensor advantages)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        ArgumentNullException.ThrowIfNull(advantages);
        return ratios.gt(Most).logical_and(advantages.gt(0));
    }
}

/// <summary>
/// SAPO (Gao et al. 2025): −(4/τ)·σ(τ·(ρ − 1))·A, a soft gate in place of clipping, with one τ for A &gt; 0 and one for the
/// rest.
/// </summary>
/// <param name="PositiveTemperature">τ for A &gt; 0.</param>
/// <param name="NegativeTemperature">τ for the rest.</param>
/// <param name="Over">What ratios are taken over.</param>
public sealed record SoftGateLoss(
    double PositiveTemperature = 1,
    double NegativeTemperature = 1.05,
    RatioLevel Over = RatioLevel.Token) : PolicyLoss
{
    /// <inheritdoc/>
    public override RatioLevel Level => Over;

    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var positive = tokens.Advantages.gt(0);
        var temperatures = where(
            positive,
            full_like(tokens.Advantages, PositiveTemperature),
            full_like(tokens.Advantages, NegativeTemperature));
        var gates = ((tokens.Ratios(Over) - 1) * temperatures).sigmoid() * 4 / temperatures;
        return (gates * tokens.Advantages).neg();
    }
}

/// <summary>
/// VESPO (2026): −sg(φ(w))·A·log π, φ(w) = e^λ·w^k·e^(−λw), w the ratio of the whole row (the product of its tokens' ratios,
/// its logarithm held within ±20), with (k, λ) for A ≥ 0 and for A &lt; 0.
/// </summary>
/// <param name="PositivePower">k for A ≥ 0.</param>
/// <param name="PositiveRate">λ for A ≥ 0.</param>
/// <param name="NegativePower">k for A &lt; 0.</param>
/// <param name="NegativeRate">λ for A &lt; 0.</param>
public sealed record GammaWeightLoss(
    double PositivePower = 2,
    double PositiveRate = 3,
    double NegativePower = 3,
    double NegativeRate = 2) : PolicyLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        return (Weights(tokens) * tokens.Advantages * tokens.Policy.Each).neg();
    }

    /// <summary>φ of each token's row [tokens], without a gradient.</summary>
    /// <param name="tokens">The tokens.</param>
    public Tensor Weights(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var logs = tokens.Rows.Spread(tokens.Rows.Sums(tokens.LogRatios().detach()).clamp(-20, 20));
        Tensor Phi(double power, double rate) => (logs * power + rate - logs.exp() * rate).exp();
        return where(tokens.Advantages.ge(0), Phi(PositivePower, PositiveRate), Phi(NegativePower, NegativeRate));
    }
}

/// <summary>
/// GMPO (Zhao et al. 2025): −A·exp of the row's mean of log ρ, each log ρ first held within (−ε, ε′) on the side that A pushes
/// to: sgn(A)·min(sgn(A)·log ρ, clip(sgn(A)·log ρ, −ε, ε′)). REDUCTION that belongs to it: <see cref="RowMeans"/>.
/// </summary>
/// <param name="Low">ε, of the logarithm.</param>
/// <param name="High">ε′, of the logarithm.</param>
public sealed record GeometricLoss(double Low, double High) : PolicyLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var signs = tokens.Advantages.sign();
        var pushed = tokens.LogRatios() * signs;
        var held = minimum(pushed, pushed.clamp(-Low, High)) * signs;
        return (tokens.Rows.Spread(tokens.Rows.Means(held).exp()) * tokens.Advantages).neg();
    }
}
