using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>The hinge loss of SLiC (Zhao et al. 2023; RSO, Liu et al. 2024): max(0, 1 − βΔ), on SUMS.</summary>
/// <param name="Beta">β.</param>
public sealed record HingeLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return (1 - pairs.Margins() * Beta).relu();
    }
}

/// <summary>
/// IPO (Azar et al. 2023, eq. 17): (Δ − 1/(2β))². Each score is divided by its answer's LENGTH, as its authors and most programs do;
/// or scores are SUMS, as in the paper.
/// </summary>
/// <param name="Beta">β, the paper's τ.</param>
/// <param name="PerToken">Whether scores are divided by lengths.</param>
public sealed record IdentityLoss(double Beta, bool PerToken = true) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return ((PerToken ? pairs.MeanMargins() : pairs.Margins()) - 1 / (2 * Beta)).square();
    }
}

/// <summary>SPPO with hard labels (Wu et al. 2024): (s(chosen) − 1/(2β))² + (s(rejected) + 1/(2β))², on SUMS.</summary>
/// <param name="Beta">β, the paper's 1/η.</param>
public sealed record SelfPlayLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return (pairs.ChosenScores - 0.5 / Beta).square() + (pairs.RejectedScores + 0.5 / Beta).square();
    }
}

/// <summary>
/// NCA on pairs (Chen et al. 2024): −log σ(βs(chosen)) − ½·log σ(−βs(chosen)) − ½·log σ(−βs(rejected)), on SUMS.
/// </summary>
/// <param name="Beta">β.</param>
public sealed record NoiseContrastiveLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var (chosen, rejected) = (pairs.ChosenScores * Beta, pairs.RejectedScores * Beta);
        return Logistic(chosen) + Logistic(chosen.neg()) * 0.5 + Logistic(rejected.neg()) * 0.5;
    }
}

/// <summary>
/// BCO on pairs without its shift (Jung et al. 2024 with δ = 0): −log σ(βs(chosen)) − log σ(−βs(rejected)), on SUMS.
/// </summary>
/// <param name="Beta">β.</param>
public sealed record BinaryPairLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return Logistic(pairs.ChosenScores * Beta) + Logistic(pairs.RejectedScores * -Beta);
    }
}

/// <summary>
/// APO-zero (D'Oosterlinck et al. 2024): 1 − σ(βr(chosen)) + σ(βr(rejected)). It raises chosen answers and lowers rejected ones. r
/// are plain log-ratios of SUMS, whatever the shape of scores.
/// </summary>
/// <param name="Beta">β.</param>
public sealed record AnchoredZeroLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return 1 - (pairs.ChosenRatios * Beta).sigmoid() + (pairs.RejectedRatios * Beta).sigmoid();
    }
}

/// <summary>
/// APO-down (D'Oosterlinck et al. 2024): σ(βr(chosen)) + 1 − σ(βΔ). It lowers both answers, the rejected one more. r is the plain
/// log-ratio of SUMS; Δ follows the shape of scores.
/// </summary>
/// <param name="Beta">β.</param>
public sealed record AnchoredDownLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return (pairs.ChosenRatios * Beta).sigmoid() + 1 - (pairs.Margins() * Beta).sigmoid();
    }
}
