namespace Polymath.Recipes;

/// <summary>
/// Alignment: the model learns which answers people, or rewards, prefer. With <c>rollout</c> the current model answers prompts and rewards
/// judge the answers; without it the rows are pairs that people ranked (shape <c>preference</c>). The reference policy is the model at the
/// start of the stage, or of each round where answers are sampled.
/// </summary>
/// <param name="By">The loss; direct preference optimization when left out.</param>
/// <param name="Prompt">What the user says; with <paramref name="Rollout"/>.</param>
/// <param name="Rewards">The rewards, each with its weight; with <paramref name="Rollout"/>.</param>
/// <param name="Rollout">How answers are sampled; left out for rows with ranked answers.</param>
public sealed record AlignSpec(
    AlignBy? By = null,
    string? Prompt = null,
    [Means(Meaning.RewardName)] IReadOnlyDictionary<string, double>? Rewards = null,
    RolloutSpec? Rollout = null) : ObjectiveSpec
{
    /// <summary>The loss.</summary>
    public AlignBy Loss => By ?? new DpoSpec();

    /// <inheritdoc/>
    public override string Kind => "align";
}

/// <summary>How answers are sampled for alignment.</summary>
/// <param name="Rounds">How often new answers are sampled, evenly over the stage's steps.</param>
/// <param name="Prompts">The number of prompts in each round.</param>
/// <param name="Answers">The number of answers to each prompt.</param>
/// <param name="Temperature">The sampling temperature.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
public sealed record RolloutSpec(
    [Bounds(1, 100000)] int Rounds = 1,
    [Bounds(1, 10000000)] int Prompts = 256,
    [Bounds(2, 10000)] int Answers = 8,
    [Bounds(0.01, 100)] double Temperature = 1.0,
    [Bounds(1, 1000000)] int MaxNewTokens = 128);

/// <summary>By what a stage aligns.</summary>
[Case("kind", "dpo", typeof(DpoSpec))]
[Case("kind", "simpo", typeof(SimPoSpec))]
[Case("kind", "cpo", typeof(CpoSpec))]
[Case("kind", "orpo", typeof(OrpoSpec))]
[Case("kind", "kto", typeof(KtoSpec))]
[Case("kind", "grpo", typeof(GrpoSpec))]
[Case("kind", "rloo", typeof(RlooSpec))]
public abstract record AlignBy
{
    /// <summary>The kind's name, as recipes write it.</summary>
    public abstract string Kind { get; }

    /// <summary>Whether it learns from single answers with advantages, and not from pairs.</summary>
    public virtual bool LearnsAnswers => false;

    /// <summary>Whether it learns from single answers that are good or bad.</summary>
    public virtual bool LearnsLabels => false;

    /// <summary>Whether it compares the policy with a reference.</summary>
    public virtual bool HasReference => true;
}

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
public sealed record DpoSpec(
    DpoLoss Loss = DpoLoss.Sigmoid,
    [Bounds(1e-6, 1000)] double Beta = 0.1,
    [Bounds(0, 0.5)] double LabelSmoothing = 0,
    ScoreDivergence Divergence = ScoreDivergence.ReverseKl,
    double Alpha = 0.5,
    [Bounds(0, 1)] double LengthWeight = 1,
    [Bounds(0, 1000)] double AnswerWeight = 0) : AlignBy
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

/// <summary>What the losses of sampled tokens are divided by.</summary>
public enum TokenMean
{
    /// <summary>The step's tokens (DAPO, Yu et al. 2025).</summary>
    Tokens,

    /// <summary>Each row's tokens, then the rows (GRPO, Shao et al. 2024).</summary>
    Rows,

    /// <summary>The rows times <c>rollout.maxNewTokens</c> (Dr. GRPO, Liu et al. 2025).</summary>
    Fixed,
}

/// <summary>What the rewards of a prompt's answers are divided by.</summary>
public enum AdvantageScale
{
    /// <summary>The standard deviation of the group.</summary>
    Group,

    /// <summary>The standard deviation of the whole round.</summary>
    Round,

    /// <summary>Nothing.</summary>
    None,
}

/// <summary>What an importance ratio is taken over.</summary>
public enum RatioOver
{
    /// <summary>Each token.</summary>
    Token,

    /// <summary>The whole answer: the geometric mean of its tokens' ratios (GSPO, Zheng et al. 2025).</summary>
    Sequence,
}

/// <summary>
/// Group relative policy optimization (Shao et al. 2024): each answer's advantage is its reward among those of the answers to its prompt.
/// </summary>
/// <param name="ClipLow">ε below: ratios are clipped at 1 − ε.</param>
/// <param name="ClipHigh">ε above: ratios are clipped at 1 + ε (DAPO: 0.28).</param>
/// <param name="KlWeight">The weight of the KL divergence from the policy at the start of the round.</param>
/// <param name="Mean">What the losses of tokens are divided by.</param>
/// <param name="Scale">What centred rewards are divided by.</param>
/// <param name="Ratio">What ratios are taken over.</param>
public sealed record GrpoSpec(
    [Bounds(0, 1)] double ClipLow = 0.2,
    [Bounds(0, 1000)] double ClipHigh = 0.2,
    [Bounds(0, 1000)] double KlWeight = 0,
    TokenMean Mean = TokenMean.Tokens,
    AdvantageScale Scale = AdvantageScale.Group,
    RatioOver Ratio = RatioOver.Token) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "grpo";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;
}

/// <summary>
/// REINFORCE with leave-one-out baselines (RLOO, Ahmadian et al. 2024): an answer's advantage is its reward less the mean of the other
/// answers to its prompt; ratios are those of whole answers.
/// </summary>
/// <param name="ClipLow">ε below.</param>
/// <param name="ClipHigh">ε above.</param>
/// <param name="Normalize">Whether advantages are normalised over the round.</param>
public sealed record RlooSpec(
    [Bounds(0, 1)] double ClipLow = 0.2,
    [Bounds(0, 1000)] double ClipHigh = 0.2,
    bool Normalize = false) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "rloo";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;
}
