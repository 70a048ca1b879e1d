namespace Polymath.Recipes;

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

/// <summary>The losses of sampled tokens.</summary>
public enum GroupLoss
{
    /// <summary>The clipped surrogate (Schulman et al. 2017).</summary>
    Clipped,

    /// <summary>Capped weights, and a gradient for every token (CISPO, MiniMax 2025).</summary>
    Cispo,

    /// <summary>The geometric mean of a row's ratios (GMPO, Zhao et al. 2025); with <c>mean: rows</c>.</summary>
    Gmpo,

    /// <summary>A soft gate in place of clipping (SAPO, Gao et al. 2025).</summary>
    Sapo,

    /// <summary>Gamma weights of whole rows (VESPO, 2026).</summary>
    Vespo,
}

/// <summary>
/// Group relative policy optimization (Shao et al. 2024): each answer's advantage is its reward among those of the answers to its prompt.
/// </summary>
/// <param name="ClipLow">ε below: ratios are clipped at 1 − ε.</param>
/// <param name="ClipHigh">ε above: ratios are clipped at 1 + ε (DAPO: 0.28).</param>
/// <param name="KlWeight">The weight of the KL divergence (k3) from the policy at the start of the stage.</param>
/// <param name="Mean">What the losses of tokens are divided by.</param>
/// <param name="Scale">What centred rewards are divided by.</param>
/// <param name="Ratio">What ratios are taken over.</param>
/// <param name="Loss">The loss of a token.</param>
/// <param name="MostRatio">For <c>clipped</c> a bound of every ratio (two-sided GRPO), for <c>cispo</c> its cap, which is 5 when left
/// out.</param>
/// <param name="MaskUnfinished">Whether answers that were cut off by their length are not learned from (DAPO).</param>
public sealed record GrpoSpec(
    [Bounds(0, 1)] double ClipLow = 0.2,
    [Bounds(0, 1000)] double ClipHigh = 0.2,
    [Bounds(0, 1000)] double KlWeight = 0,
    TokenMean Mean = TokenMean.Tokens,
    AdvantageScale Scale = AdvantageScale.Group,
    RatioOver Ratio = RatioOver.Token,
    GroupLoss Loss = GroupLoss.Clipped,
    [Bounds(0, 1000)] double? MostRatio = null,
    bool MaskUnfinished = false) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "grpo";

    /// <inheritdoc/>
    public override bool ComparesWithStart => KlWeight > 0;

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

/// <summary>
/// REINFORCE++ (Hu 2025): each token's advantage is the answer's reward less the KL of the tokens from there on, normalised over the round;
/// no critic.
/// </summary>
/// <param name="ClipLow">ε below.</param>
/// <param name="ClipHigh">ε above.</param>
/// <param name="KlWeight">The weight of the KL divergence (k1) from the policy at the start of the stage, in the reward.</param>
/// <param name="Baseline">Whether the mean reward of the prompt's answers is subtracted first.</param>
public sealed record ReinforceSpec(
    [Bounds(0, 1)] double ClipLow = 0.2,
    [Bounds(0, 1000)] double ClipHigh = 0.2,
    [Bounds(0, 1000)] double KlWeight = 0.01,
    bool Baseline = false) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "reinforce";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;

    /// <inheritdoc/>
    public override bool ComparesWithStart => true;

    /// <inheritdoc/>
    public override bool ComparesAnswers => Baseline;
}

/// <summary>
/// Proximal policy optimization with a critic (Schulman et al. 2017; Ziegler et al. 2019; Ouyang et al. 2022): the reward is the answer's
/// score at its end less the KL from the policy at the start of the stage at each token; advantages are generalised (Schulman et al. 2016)
/// and normalised over the round.
/// </summary>
/// <param name="Clip">ε of the policy's ratios.</param>
/// <param name="ValueClip">ε of the critic's values; 0 for no clipping.</param>
/// <param name="ValueWeight">The weight of the critic's loss.</param>
/// <param name="Gamma">γ, the discount.</param>
/// <param name="Lambda">λ of generalised advantages.</param>
/// <param name="KlWeight">The coefficient of KL (k1) in the reward.</param>
/// <param name="KlTarget">The KL of an answer near which the coefficient is held (Ziegler et al. 2019); a fixed coefficient when left
/// out.</param>
/// <param name="KlHorizon">The answers after which an error of 1 would double the coefficient.</param>
/// <param name="WhitenRewards">Whether rewards are divided by their standard deviation over the round.</param>
/// <param name="Critic">A reward model's folder or earlier stage that becomes a critic of its own; a fresh value head on the policy's own
/// states when left out.</param>
public sealed record PpoSpec(
    [Bounds(0, 1000)] double Clip = 0.2,
    [Bounds(0, 1000)] double ValueClip = 0.2,
    [Bounds(0, 1000)] double ValueWeight = 0.1,
    [Bounds(0, 1)] double Gamma = 1,
    [Bounds(0, 1)] double Lambda = 0.95,
    [Bounds(0, 1000)] double KlWeight = 0.05,
    [Bounds(1e-9, 1000000)] double? KlTarget = null,
    [Bounds(1, 1e12)] double KlHorizon = 10000,
    bool WhitenRewards = false,
    string? Critic = null) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "ppo";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;

    /// <inheritdoc/>
    public override bool ComparesWithStart => true;

    /// <inheritdoc/>
    public override bool ComparesAnswers => false;
}

/// <summary>
/// RRHF (Yuan et al. 2023): the answers to a prompt are ranked by their rewards, on means over tokens, and the best one is learned.
/// </summary>
/// <param name="BestWeight">The weight of the best answer's own likelihood.</param>
public sealed record RrhfSpec([Bounds(0, 1000)] double BestWeight = 1) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "rrhf";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;

    /// <inheritdoc/>
    public override bool HasReference => false;
}

/// <summary>
/// The best of several answers is learned as if it were given (best-of-n distillation; with several rounds expert iteration).
/// </summary>
/// <param name="Least">The least score of an answer that is learned; none when left out.</param>
public sealed record BestSpec(double? Least = null) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "best";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;

    /// <inheritdoc/>
    public override bool HasReference => false;

    /// <inheritdoc/>
    public override bool ComparesAnswers => false;
}

/// <summary>The divergences of distillation.</summary>
public enum DistillBy
{
    /// <summary>KL(teacher ‖ student) (Hinton et al. 2015).</summary>
    Forward,

    /// <summary>KL(student ‖ teacher) (Gu et al. 2024).</summary>
    Reverse,

    /// <summary>The generalised Jensen-Shannon divergence (Agarwal et al. 2024).</summary>
    JensenShannon,
}

/// <summary>
/// A larger model of the same vocabulary teaches its whole distribution at each token of an answer: of rows that have answers, or with
/// <c>rollout</c> of the student's own answers (GKD, Agarwal et al. 2024).
/// </summary>
/// <param name="Teacher">The teacher's folder, its address on a hub, or an earlier stage.</param>
/// <param name="Divergence">The divergence.</param>
/// <param name="Beta">β of <c>jensenShannon</c>.</param>
/// <param name="Temperature">What both models' logits are divided by.</param>
/// <param name="AnswerWeight">The weight of the answer's own likelihood beside the divergence.</param>
public sealed record DistillSpec(
    string Teacher,
    DistillBy Divergence = DistillBy.Forward,
    [Bounds(0.000001, 0.999999)] double Beta = 0.5,
    [Bounds(0.01, 100)] double Temperature = 1,
    [Bounds(0, 1000)] double AnswerWeight = 0) : AlignBy
{
    /// <inheritdoc/>
    public override string Kind => "distill";

    /// <inheritdoc/>
    public override bool LearnsAnswers => true;

    /// <inheritdoc/>
    public override bool HasReference => false;

    /// <inheritdoc/>
    public override bool ComparesAnswers => false;

    /// <inheritdoc/>
    public override bool NeedsRewards => false;

    /// <inheritdoc/>
    public override bool ReadsAnswers => true;
}
