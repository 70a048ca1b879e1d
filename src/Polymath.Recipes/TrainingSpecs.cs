namespace Polymath.Recipes;

/// <summary>The shapes of a schedule.</summary>
public enum ScheduleKind
{
    /// <summary>The learning rate falls along half a cosine.</summary>
    Cosine,

    /// <summary>The learning rate falls linearly.</summary>
    Linear,

    /// <summary>The learning rate is constant.</summary>
    Constant,

    /// <summary>The rate stays, and falls in the last steps (Hu et al. 2024).</summary>
    Wsd,

    /// <summary>The rate falls with the root of the step, without an end (Vaswani et al. 2017).</summary>
    InverseSqrt,

    /// <summary>The rate falls along a power of what is left.</summary>
    Polynomial,

    /// <summary>The rate falls along half a cosine several times, back at its peak each time (Loshchilov &amp; Hutter 2017).</summary>
    Restarts,
}

/// <summary>The shape of the last part of <c>wsd</c>.</summary>
public enum DecayShape
{
    /// <summary>Half a cosine.</summary>
    Cosine,

    /// <summary>A line.</summary>
    Linear,

    /// <summary>One minus the root of the way gone (Hägele et al. 2024).</summary>
    OneMinusSqrt,
}

/// <summary>How the learning rate changes over the steps.</summary>
/// <param name="Kind">The shape after the warmup.</param>
/// <param name="Warmup">Steps in which the rate rises from zero along a line; less than 1 for a share of the stage's steps.</param>
/// <param name="Floor">The share of the peak rate that is left after the last step.</param>
/// <param name="DecayShare">The part of the steps at the end in which the rate of <c>wsd</c> falls; a tenth when left out.</param>
/// <param name="DecaySteps">That part as a number of steps, in place of <paramref name="DecayShare"/>.</param>
/// <param name="DecayShape">The shape of that part; <c>cosine</c> when left out.</param>
/// <param name="Timescale">After how many steps the rate of <c>inverseSqrt</c> has fallen to 1/√2, counted from the end of the warmup; as
/// many as the warmup has when left out, 10,000 without one.</param>
/// <param name="Power">The power of <c>polynomial</c>; 1, a line, when left out.</param>
/// <param name="Cycles">How often the rate of <c>restarts</c> falls; once when left out.</param>
public sealed record ScheduleSpec(
    ScheduleKind Kind = ScheduleKind.Cosine,
    [Bounds(0)] double Warmup = 0,
    [Bounds(0, 1)] double Floor = 0,
    [Bounds(0.000001, 1)] double? DecayShare = null,
    [Bounds(1)] int? DecaySteps = null,
    DecayShape? DecayShape = null,
    [Bounds(1)] double? Timescale = null,
    [Bounds(0.000001, 1000)] double? Power = null,
    [Bounds(1, 1000000)] int? Cycles = null)
{
    /// <summary>The steps of the warmup in a stage of some steps.</summary>
    /// <param name="steps">The stage's steps.</param>
    public int WarmupOf(int steps) => (int)Math.Ceiling(Warmup < 1 ? Warmup * steps : Warmup);
}

/// <summary>What happens to a row that is longer than the context.</summary>
public enum OverlongPolicy
{
    /// <summary>Its end is cut off.</summary>
    Cut,

    /// <summary>It is split into rows that fit.</summary>
    Split,

    /// <summary>It is left out.</summary>
    Drop,

    /// <summary>The run is refused.</summary>
    Refuse,
}

/// <summary>How rows become batches. Rows are packed end to end, without padding.</summary>
/// <param name="Tokens">The tokens of an optimizer step: rows are added while they fit. When left out, without <paramref name="Rows"/>,
/// 4,096, or an eighth of the data where that is less.</param>
/// <param name="MicroTokens">The tokens of one forward and backward pass (micro-batch). The gradients of all passes of a step are summed.
/// One pass when left out.</param>
/// <param name="MaxLength">The most tokens of a row; the model's context when left out.</param>
/// <param name="Overlong">What happens to longer rows; they are counted before the first step.</param>
/// <param name="MaxCut">The greatest share of target tokens that may be cut off; a stage that would cut more is refused before its first
/// step.</param>
/// <param name="GradientCheckpointing">Whether only the input of each block is kept for the backward pass, where the block is computed
/// again: the memory of one block instead of all, for one more forward pass.</param>
/// <param name="Rows">The rows of an optimizer step; a pair of answers is one row.</param>
/// <param name="MicroRows">The rows of one forward and backward pass.</param>
/// <param name="Fill">Whether documents run on from row to row, so that every row fills the context; for <c>pretrain</c> alone, where it is
/// the rule. If not, each document is a row of its own.</param>
/// <param name="CrossEpochs">Whether a step may go on into the next pass over the data; if not, the last step of a pass may be
/// smaller.</param>
public sealed record BatchSpec(
    [Bounds(1)] int? Tokens = null,
    [Bounds(1)] int? MicroTokens = null,
    [Bounds(2)] int? MaxLength = null,
    OverlongPolicy Overlong = OverlongPolicy.Cut,
    [Bounds(0, 1)] double MaxCut = 1,
    bool GradientCheckpointing = false,
    [Bounds(1)] int? Rows = null,
    [Bounds(1)] int? MicroRows = null,
    bool CrossEpochs = false,
    bool? Fill = null)
{
    /// <summary>The most tokens of a step where nothing is said.</summary>
    public const int UsualTokens = 4096;

    /// <summary>The least steps that a pass over small data is cut into where nothing is said.</summary>
    public const int UsualSteps = 8;
}

/// <summary>What is measured during a stage.</summary>
/// <param name="Every">The steps between measurements; 0 for none on the way. When left out, the held-out loss alone is measured, ten times
/// in the stage.</param>
/// <param name="Abilities">The abilities measured, besides the held-out loss.</param>
/// <param name="Samples">The number of answers written to <c>samples.jsonl</c> each time and at the stage's end.</param>
/// <param name="Rows">The most validation rows whose loss is measured; 0 for no held-out loss.</param>
/// <param name="Patience">The measurements in a row that may bring nothing better before the stage ends early; better by
/// <c>checkpoint.best</c>, or by the held-out loss. The stage then ends with the best weights.</param>
/// <param name="MinimumChange">The change of the figure that counts as better.</param>
public sealed record EvaluateSpec(
    [Bounds(0)] int? Every = null,
    [Means(Meaning.AbilityName)] IReadOnlyList<string>? Abilities = null,
    [Bounds(0, 1000)] int Samples = 2,
    [Bounds(0, 1000000)] int Rows = 256,
    [Bounds(1, 1000000)] int? Patience = null,
    [Bounds(0)] double MinimumChange = 0)
{
    /// <summary>The name of the held-out loss among figures.</summary>
    public const string HeldOutLoss = "heldOutLoss";

    /// <summary>The steps between measurements of the held-out loss in a stage of some steps; 0 for the last step alone.</summary>
    /// <param name="steps">The stage's steps.</param>
    public int EveryOf(int steps) => Every ?? Math.Max(1, (steps + 9) / 10);
}

/// <summary>When the state is saved.</summary>
/// <param name="Every">The steps between checkpoints.</param>
/// <param name="Keep">How many of the last ones are kept.</param>
/// <param name="Best">An ability (one of those evaluated on the way) or <c>heldOutLoss</c>, whose best checkpoint is kept besides; the
/// stage ends with its weights.</param>
public sealed record CheckpointSettings(
    [Bounds(1)] int Every = 100,
    [Bounds(1)] int Keep = 2,
    string? Best = null);

/// <summary>A measurement of the model.</summary>
[Case("kind", "perplexity", typeof(PerplexityAbility))]
[Case("kind", "accuracy", typeof(AccuracyAbility))]
[Case("kind", "reward", typeof(RewardAbility))]
[Case("kind", "distinct", typeof(DistinctAbility))]
[Case("kind", "choice", typeof(ChoiceAbility))]
[Case("kind", "ensemble", typeof(EnsembleAbility))]
public abstract record AbilitySpec
{
    /// <summary>Whether a higher value is better.</summary>
    public abstract bool HigherIsBetter { get; }

    /// <summary>The stage whose rows are measured; null for rows of their own.</summary>
    public abstract string? StageName { get; }
}

/// <summary>exp of the mean loss per target token, on a pretraining or finetuning stage's held-out rows.</summary>
/// <param name="Stage">The stage whose data and template are used.</param>
/// <param name="Rows">The most rows.</param>
/// <param name="Split">The part of the data.</param>
public sealed record PerplexityAbility(
    [Means(Meaning.StageName)] string Stage,
    [Bounds(1)] int Rows = 500,
    DataSplit Split = DataSplit.Validation) : AbilitySpec
{
    /// <inheritdoc/>
    public override bool HigherIsBetter => false;

    /// <inheritdoc/>
    public override string StageName => Stage;
}

/// <summary>The share of rows with the right label, on a task stage's held-out rows.</summary>
/// <param name="Stage">The stage whose data, template and verbalizer are used.</param>
/// <param name="Rows">The most rows.</param>
/// <param name="Split">The part of the data.</param>
/// <param name="Figure">What is counted: right rows, or the mean F1 of the labels.</param>
public sealed record AccuracyAbility(
    [Means(Meaning.StageName)] string Stage,
    [Bounds(1)] int Rows = 1000,
    DataSplit Split = DataSplit.Validation,
    LabelFigure Figure = LabelFigure.Accuracy) : AbilitySpec
{
    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <inheritdoc/>
    public override string StageName => Stage;
}

/// <summary>A figure of guessed labels.</summary>
public enum LabelFigure
{
    /// <summary>The share of right rows.</summary>
    Accuracy,

    /// <summary>The mean over labels of F1 = 2PR/(P + R), of precision P and recall R; every label counts alike.</summary>
    MacroF1,

    /// <summary>F1 of the entities that are found, where a stage asks for spans: words and kind must both be right.</summary>
    EntityF1,
}

/// <summary>The mean reward of sampled answers to held-out prompts.</summary>
/// <param name="Stage">The stage (finetune or align) whose data and prompt are used.</param>
/// <param name="Reward">The reward.</param>
/// <param name="Rows">The most prompts.</param>
/// <param name="Temperature">The temperature.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Split">The part of the data.</param>
public sealed record RewardAbility(
    [Means(Meaning.StageName)] string Stage,
    [Means(Meaning.RewardName)] string Reward,
    [Bounds(1)] int Rows = 200,
    [Bounds(0, 100)] double Temperature = 0.8,
    [Bounds(1)] int MaxNewTokens = 128,
    DataSplit Split = DataSplit.Validation) : AbilitySpec
{
    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <inheritdoc/>
    public override string StageName => Stage;
}

/// <summary>The share of different n-grams of characters among all n-grams of sampled answers (Li et al. 2016).</summary>
/// <param name="Stage">The stage (finetune or align) whose data and prompt are used.</param>
/// <param name="N">The length of the n-grams.</param>
/// <param name="Rows">The most prompts.</param>
/// <param name="Temperature">The temperature.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Split">The part of the data.</param>
public sealed record DistinctAbility(
    [Means(Meaning.StageName)] string Stage,
    [Bounds(1, 100)] int N = 2,
    [Bounds(1)] int Rows = 200,
    [Bounds(0, 100)] double Temperature = 0.8,
    [Bounds(1)] int MaxNewTokens = 128,
    DataSplit Split = DataSplit.Validation) : AbilitySpec
{
    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <inheritdoc/>
    public override string StageName => Stage;
}
