namespace Polymath.Recipes;

/// <summary>The losses of pairs against a reference, by the names that TRL gives them.</summary>
public enum DpoLoss
{
    /// <summary>−log σ(βΔ) (Rafailov et al. 2023); with <c>labelSmoothing</c> conservative DPO.</summary>
    Sigmoid,

    /// <summary>The same with each score divided by its answer's length.</summary>
    SigmoidNorm,

    /// <summary>max(0, 1 − βΔ) (SLiC, Zhao et al. 2023).</summary>
    Hinge,

    /// <summary>(Δ̄ − 1/(2β))² on means over tokens (IPO, Azar et al. 2023).</summary>
    Ipo,

    /// <summary>DPO without the bias of wrong labels (Chowdhury et al. 2024); needs <c>labelSmoothing</c>.</summary>
    Robust,

    /// <summary>EXO (Ji et al. 2024); needs <c>labelSmoothing</c>.</summary>
    ExoPair,

    /// <summary>Noise contrastive alignment (Chen et al. 2024).</summary>
    NcaPair,

    /// <summary>The binary classifier of pairs (Jung et al. 2024), without its shift.</summary>
    BcoPair,

    /// <summary>Self-play with hard labels (Wu et al. 2024).</summary>
    SppoHard,

    /// <summary>Margins matched by rank over the step (AOT, Melnyk et al. 2024).</summary>
    Aot,

    /// <summary>Answers matched by rank over the step (AOT, Melnyk et al. 2024).</summary>
    AotUnpaired,

    /// <summary>Anchored: chosen answers up, rejected ones down (APO-zero, D'Oosterlinck et al. 2024).</summary>
    ApoZero,

    /// <summary>Anchored: both answers down, the rejected ones more (APO-down).</summary>
    ApoDown,

    /// <summary>A loss that a language model discovered (Lu et al. 2024).</summary>
    Discopop,
}

/// <summary>How log-ratios become scores (f-DPO, Wang et al. 2023).</summary>
public enum ScoreDivergence
{
    /// <summary>The log-ratio itself.</summary>
    ReverseKl,

    /// <summary>−e^(−r).</summary>
    ForwardKl,

    /// <summary>log σ(r).</summary>
    JensenShannon,

    /// <summary>e^((α − 1)r)/(α − 1).</summary>
    Alpha,
}

/// <summary>Direct preference optimization (Rafailov et al. 2023) and its kin: losses of pairs against a reference policy.</summary>
/// <param name="Loss">The loss.</param>
/// <param name="Beta">How strongly the policy is kept close to the reference.</param>
/// <param name="LabelSmoothing">The probability that a pair is ranked wrongly.</param>
/// <param name="Divergence">How log-ratios become scores.</param>
/// <param name="Alpha">α of the divergence <c>alpha</c>.</param>
/// <param name="LengthWeight">The weight of the tokens behind a pair's common length (LD-DPO, Liu et al. 2024); 1 when left out.</param>
/// <param name="AnswerWeight">The weight of the chosen answer's own negative log-likelihood, per token, added to the loss (Pang et al.
/// 2024); 0 for none.</param>
/// <param name="OnPolicyWeights">Whether each pair weighs as much as the policy would say its answers (WPO, Zhou et al. 2024).</param>
public sealed record DpoSpec(
    DpoLoss Loss = DpoLoss.Sigmoid,
    [Bounds(1e-6, 1000)] double Beta = 0.1,
    [Bounds(0, 0.5)] double LabelSmoothing = 0,
    ScoreDivergence Divergence = ScoreDivergence.ReverseKl,
    double Alpha = 0.5,
    [Bounds(0, 1)] double LengthWeight = 1,
    [Bounds(0, 1000)] double AnswerWeight = 0,
    bool OnPolicyWeights = false) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "dpo";
}

/// <summary>
/// SimPO (Meng et al. 2024, eq. 6), on means over tokens without a reference; with <c>alpha</c> AlphaPO (Gupta et al. 2025).
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Gamma">γ, the target margin, not multiplied by β.</param>
/// <param name="Alpha">α of AlphaPO's reward; 0 for SimPO.</param>
/// <param name="AnswerWeight">The weight of the chosen answer's own negative log-likelihood, per token.</param>
public sealed record SimPoSpec(
    [Bounds(1e-6, 1000)] double Beta = 2,
    [Bounds(0, 1000)] double Gamma = 1,
    double Alpha = 0,
    [Bounds(0, 1000)] double AnswerWeight = 0) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "simpo";

    /// <inheritdoc/>
    public override bool HasReference => false;
}

/// <summary>CPO (Xu et al. 2024, eq. 6): −log σ(βΔ) on sums without a reference, and the chosen answer's likelihood.</summary>
/// <param name="Beta">β.</param>
/// <param name="LabelSmoothing">The probability that a pair is ranked wrongly.</param>
/// <param name="AnswerWeight">The weight of the chosen answer's own negative log-likelihood, per token.</param>
public sealed record CpoSpec(
    [Bounds(1e-6, 1000)] double Beta = 0.1,
    [Bounds(0, 0.5)] double LabelSmoothing = 0,
    [Bounds(0, 1000)] double AnswerWeight = 1) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "cpo";

    /// <inheritdoc/>
    public override bool HasReference => false;
}

/// <summary>
/// ORPO (Hong et al. 2024, eq. 6): the chosen answer's likelihood, and −λ·log σ of the log odds ratio, on means over the answers'
/// tokens, without a reference. (TRL counts the prompt's tokens in the likelihood, too.)
/// </summary>
/// <param name="Beta">λ.</param>
/// <param name="AnswerWeight">The weight of the chosen answer's own negative log-likelihood, per token.</param>
public sealed record OrpoSpec(
    [Bounds(0, 1000)] double Beta = 0.1,
    [Bounds(0, 1000)] double AnswerWeight = 1) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "orpo";

    /// <inheritdoc/>
    public override bool HasReference => false;
}

/// <summary>The losses of the pairs of TPO, by the names that TRL gives them.</summary>
public enum TpoLoss
{
    /// <summary>−log σ(βΔ) on sums.</summary>
    Sigmoid,

    /// <summary>max(0, 1 − βΔ).</summary>
    Hinge,

    /// <summary>(Δ̄ − 1/(2β))² on means over tokens.</summary>
    Ipo,

    /// <summary>−log σ(βΔ̄ − γ) on means over tokens (TPO-L).</summary>
    TpoL,
}

/// <summary>
/// Triple preference optimization (Saeidi et al. 2024): a loss of pairs without a reference policy, and the likelihood of a third answer,
/// the one that should have been given (the column <c>reference</c>), as a mean over the step's tokens of such answers.
/// </summary>
/// <param name="Loss">The loss of pairs.</param>
/// <param name="Beta">β.</param>
/// <param name="Gamma">γ of <c>tpoL</c>; 0.5 when left out.</param>
/// <param name="Alpha">The weight of the third answer's negative log-likelihood.</param>
/// <param name="LabelSmoothing">The probability that a pair is ranked wrongly.</param>
public sealed record TpoSpec(
    TpoLoss Loss = TpoLoss.Sigmoid,
    [Bounds(1e-6, 1000)] double Beta = 0.01,
    [Bounds(0, 1000)] double? Gamma = null,
    [Bounds(0, 1000)] double Alpha = 1,
    [Bounds(0, 0.5)] double LabelSmoothing = 0) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "tpo";

    /// <inheritdoc/>
    public override bool HasReference => false;

    /// <inheritdoc/>
    public override bool ReadsGold => true;
}

/// <summary>The losses of answers that are good or bad.</summary>
public enum KtoLoss
{
    /// <summary>Against the mean log-ratio of answers to other prompts (Ethayarajh et al. 2024, eq. 8).</summary>
    Kto,

    /// <summary>Against nothing (APO-zero, D'Oosterlinck et al. 2024).</summary>
    ApoZero,
}

/// <summary>
/// Kahneman-Tversky optimization (Ethayarajh et al. 2024): rows of the shape <c>kto</c>, each with an answer that is good or bad.
/// </summary>
/// <param name="Loss">The loss.</param>
/// <param name="Beta">How strongly the policy is kept close to the reference.</param>
/// <param name="GoodWeight">The weight of good answers.</param>
/// <param name="BadWeight">The weight of bad answers.</param>
public sealed record KtoSpec(
    KtoLoss Loss = KtoLoss.Kto,
    [Bounds(1e-6, 1000)] double Beta = 0.1,
    [Bounds(0, 1000)] double GoodWeight = 1,
    [Bounds(0, 1000)] double BadWeight = 1) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "kto";

    /// <inheritdoc/>
    public override bool LearnsLabels => true;
}

/// <summary>
/// BCO (Jung et al. 2024): a classifier of good and bad answers whose threshold is the running mean of all rewards. Rows of the shape
/// <c>kto</c>.
/// </summary>
/// <param name="Beta">How strongly the policy is kept close to the reference.</param>
public sealed record BcoSpec([Bounds(1e-6, 1000)] double Beta = 0.1) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "bco";

    /// <inheritdoc/>
    public override bool LearnsLabels => true;
}
