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
/// <param name="Probes">Rewards that are measured on the sampled answers and not learned: one that falls while the score rises warns that
/// the rewards are gamed.</param>
public sealed record AlignSpec(
    AlignBy? By = null,
    string? Prompt = null,
    [Means(Meaning.RewardName)] IReadOnlyDictionary<string, double>? Rewards = null,
    RolloutSpec? Rollout = null,
    [Means(Meaning.RewardName)] IReadOnlyList<string>? Probes = null) : ObjectiveSpec
{
    /// <summary>The loss.</summary>
    public AlignBy Loss => By ?? new DpoSpec();

    /// <inheritdoc/>
    public override string Kind => "align";
}

/// <summary>How answers are sampled for alignment.</summary>
/// <param name="Rounds">How often new answers are sampled, evenly over the stage's steps.</param>
/// <param name="Prompts">The number of prompts in each round.</param>
/// <param name="Answers">The number of answers to each prompt; one is enough for <c>ppo</c> and <c>distill</c> alone.</param>
/// <param name="Temperature">The sampling temperature.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Resample">How often at most a round samples further prompts in place of those whose answers all score alike (dynamic
/// sampling, Yu et al. 2025).</param>
/// <param name="OverlongBuffer">The last tokens before <paramref name="MaxNewTokens"/> within which a longer answer loses up to 1 of its
/// score (overlong shaping, Yu et al. 2025); 0 for none.</param>
/// <param name="UnfinishedPenalty">What an answer loses that was cut off by its length.</param>
public sealed record RolloutSpec(
    [Bounds(1, 100000)] int Rounds = 1,
    [Bounds(1, 10000000)] int Prompts = 256,
    [Bounds(1, 10000)] int Answers = 8,
    [Bounds(0.01, 100)] double Temperature = 1.0,
    [Bounds(1, 1000000)] int MaxNewTokens = 128,
    [Bounds(0, 1000)] int Resample = 0,
    [Bounds(0, 1000000)] int OverlongBuffer = 0,
    [Bounds(0, 1000000)] double UnfinishedPenalty = 0);

/// <summary>By what a stage aligns.</summary>
[Case("kind", "dpo", typeof(DpoSpec))]
[Case("kind", "simpo", typeof(SimPoSpec))]
[Case("kind", "cpo", typeof(CpoSpec))]
[Case("kind", "orpo", typeof(OrpoSpec))]
[Case("kind", "tpo", typeof(TpoSpec))]
[Case("kind", "kto", typeof(KtoSpec))]
[Case("kind", "grpo", typeof(GrpoSpec))]
[Case("kind", "rloo", typeof(RlooSpec))]
[Case("kind", "bco", typeof(BcoSpec))]
[Case("kind", "reinforce", typeof(ReinforceSpec))]
[Case("kind", "ppo", typeof(PpoSpec))]
[Case("kind", "rrhf", typeof(RrhfSpec))]
[Case("kind", "best", typeof(BestSpec))]
[Case("kind", "distill", typeof(DistillSpec))]
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

    /// <summary>Whether sampled answers are compared with the policy at the start of the stage.</summary>
    public virtual bool ComparesWithStart => false;

    /// <summary>Whether the answers to one prompt are compared with each other, so that there must be two or more.</summary>
    public virtual bool ComparesAnswers => true;

    /// <summary>Whether it needs rewards where it samples.</summary>
    public virtual bool NeedsRewards => true;

    /// <summary>Whether a third answer stands beside each pair, which rows must bring.</summary>
    public virtual bool ReadsGold => false;

    /// <summary>Whether it reads conversations with their answers where it does not sample.</summary>
    public virtual bool ReadsAnswers => false;
}
