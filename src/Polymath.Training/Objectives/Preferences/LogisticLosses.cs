using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// DPO (Rafailov et al. 2023, eq. 7): −log σ(βΔ) on SUMS; with label smoothing, conservative DPO (Mitchell 2023). Without a reference
/// it is CPO's preference term (Xu et al. 2024).
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Smoothing">The probability that a label is wrong.</param>
public sealed record SigmoidLoss(double Beta, double Smoothing = 0) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return Of(pairs.Margins());
    }

    /// <summary>The loss of margins [n].</summary>
    /// <param name="margins">Δ [n].</param>
    public Tensor Of(Tensor margins)
    {
        ArgumentNullException.ThrowIfNull(margins);
        return Logistic(margins * Beta, Smoothing);
    }
}

/// <summary>Length-normalised DPO (Lambert et al. 2024): −log σ(β·Δ̄), each score divided by its answer's LENGTH.</summary>
/// <param name="Beta">β.</param>
public sealed record MeanSigmoidLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return Logistic(pairs.MeanMargins() * Beta);
    }
}

/// <summary>
/// Robust DPO (Chowdhury et al. 2024): ((1 − ε)·(−log σ(βΔ)) − ε·(−log σ(−βΔ)))/(1 − 2ε), unbiased under flipped
/// labels; on SUMS.
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Smoothing">ε, below ½.</param>
public sealed record RobustLoss(double Beta, double Smoothing) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return Logistic(pairs.Margins() * Beta, -Smoothing / (1 - 2 * Smoothing));
    }
}

/// <summary>EXO on pairs (Ji et al. 2024): KL((σ(βΔ), σ(−βΔ)) ‖ (1 − ε, ε)), on SUMS.</summary>
/// <param name="Beta">β.</param>
/// <param name="Smoothing">ε, above 0.</param>
public sealed record ExactLoss(double Beta, double Smoothing) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var logits = pairs.Margins() * Beta;
        var (right, wrong) = (nn.functional.logsigmoid(logits), nn.functional.logsigmoid(logits.neg()));
        return right.exp() * (right - Math.Log(1 - Smoothing)) + wrong.exp() * (wrong - Math.Log(Smoothing));
    }
}

/// <summary>
/// SimPO (Meng et al. 2024, eq. 6): −log σ(β·(l(chosen) − l(rejected)) − γ) on token MEANS without a reference; with AlphaPO's
/// reward (Gupta et al. 2025) when α is not 0. It is TPO-L too (Saeidi et al. 2024).
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Gamma">γ, the target margin, not multiplied by β.</param>
/// <param name="Alpha">α of AlphaPO; 0 for SimPO.</param>
/// <param name="Smoothing">The probability that a label is wrong.</param>
public sealed record SimPoLoss(double Beta, double Gamma, double Alpha = 0, double Smoothing = 0) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var reward = new AlphaReward(Alpha);
        return Logistic((reward.Of(pairs.Chosen.Means()) - reward.Of(pairs.Rejected.Means())) * Beta - Gamma, Smoothing);
    }
}

/// <summary>
/// ORPO's odds ratio (Hong et al. 2024, eq. 7): −β·log σ(log odds(chosen) − log odds(rejected)), odds = p/(1 − p), p of token
/// MEANS, without a reference. ORPO adds the likelihood of the chosen rows, prompt and answer, as a <see cref="TokenLikelihood"/>.
/// </summary>
/// <param name="Beta">β, the paper's λ.</param>
public sealed record OddsLoss(double Beta) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs) => Logistic(LogOddsRatios(pairs)) * Beta;

    /// <summary>log(odds(chosen)/odds(rejected)) [pairs].</summary>
    /// <param name="pairs">The pairs.</param>
    public static Tensor LogOddsRatios(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return LogOdds(pairs.Chosen.Means()) - LogOdds(pairs.Rejected.Means());
    }

    // log(1 - e^x) without cancellation for x near 0.
    private static Tensor LogOdds(Tensor x) => x - x.expm1().neg().log();
}

/// <summary>DiscoPOP (Lu et al. 2024): (1 − g)·(−log σ(βΔ)) + g·e^(−βΔ), g = σ(βΔ/τ); on SUMS.</summary>
/// <param name="Beta">β.</param>
/// <param name="Temperature">τ.</param>
public sealed record DiscoPopLoss(double Beta, double Temperature = 0.05) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var logits = pairs.Margins() * Beta;
        var share = (logits / Temperature).sigmoid();
        return Logistic(logits) * (1 - share) + logits.neg().exp() * share;
    }
}
