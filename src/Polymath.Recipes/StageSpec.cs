using System.Globalization;

namespace Polymath.Recipes;

/// <summary>One stage of the education: what is learned (the objective) and what is trained (the method).</summary>
/// <param name="Name">The stage's name, unique in the recipe.</param>
/// <param name="Objective">What is learned; <c>kind</c> names it, and its settings are written next to <c>kind</c>.</param>
/// <param name="Optimizer">The optimizer.</param>
/// <param name="Data">The sources the stage reads, one after the other; a stage of the kind <c>mix</c> names them in its terms.</param>
/// <param name="Method">What is trained; every weight when left out.</param>
/// <param name="Steps">The number of optimizer steps; or give <paramref name="Epochs"/>.</param>
/// <param name="Epochs">The number of times the data is read; or give <paramref name="Steps"/>.</param>
/// <param name="Schedule">How the learning rate changes over the steps.</param>
/// <param name="Batch">How rows become batches.</param>
/// <param name="Evaluate">What is measured during the stage.</param>
/// <param name="Checkpoint">When the state is saved, and how many saves are kept.</param>
/// <param name="Mix">The shares of the rows that are read from the sources, such as <c>{poems: 3, prose: 1}</c>; a source that is not named
/// has 1. In proportion to their sizes when left out. An epoch reads as many rows as all sources have.</param>
/// <param name="From">What the stage starts from: an earlier stage, a model's folder, or its address on a hub. When left out, the model of
/// the main line: of the last stage before it that has no <c>from</c> and is no <c>reward</c> stage, or the recipe's model.</param>
/// <param name="Require">What abilities must be after the stage, such as <c>{form: "&gt;= 0.8", perplexity: "&lt;= 1.1 * before"}</c>;
/// <c>before</c> is the value of the model that the stage started from.</param>
/// <param name="Else">What happens when one is not; the run ends when left out.</param>
/// <param name="Stop">When the stage ends because a figure of its steps has gone wrong, such as <c>kl &gt; 0.3 for 5</c>; it ends with the
/// weights of the last checkpoint from before.</param>
/// <param name="ExpertBiasRate">The step by which the biases that choose experts move after each step, up for an expert with less than the
/// mean load, down for one with more: balance without a loss (Wang et al. 2024; DeepSeek V3 has 0.001). The biases do not move when left
/// out. For families that have them (DeepSeek V3, GLM-4 MoE), with the methods <c>full</c> and <c>freeze</c>.</param>
public sealed record StageSpec(
    string Name,
    [Flatten] ObjectiveSpec Objective,
    OptimizerSpec Optimizer,
    [Means(Meaning.DataName)] IReadOnlyList<string>? Data = null,
    MethodSpec? Method = null,
    [Bounds(1)] int? Steps = null,
    [Bounds(0.0001)] double? Epochs = null,
    ScheduleSpec? Schedule = null,
    BatchSpec? Batch = null,
    EvaluateSpec? Evaluate = null,
    CheckpointSettings? Checkpoint = null,
    IReadOnlyDictionary<string, double>? Mix = null,
    string? From = null,
    IReadOnlyDictionary<string, string>? Require = null,
    ElseSpec? Else = null,
    IReadOnlyList<string>? Stop = null,
    [Bounds(0.0000001, 1)] double? ExpertBiasRate = null)
{
    /// <summary>Whether the stages after it go on from another model than its own, unless they name it.</summary>
    public bool IsBranch => From is not null || Objective is RewardModelSpec;

    /// <summary>All sources that it reads.</summary>
    public IReadOnlyList<string> Sources => Objective is MixSpec { Terms: { } terms }
        ? [.. terms.SelectMany(term => term.Data ?? []).Distinct()]
        : Data ?? [];

    /// <summary>
    /// What it learns, one thing each: the stage itself, or the terms of a mix, each as a stage that is named <c>STAGE.TERM</c>.
    /// </summary>
    public IReadOnlyList<StageSpec> Parts() => Objective is MixSpec { Terms: { } terms }
        ?
        [
            .. terms.Select(term => this with
            {
                Name = $"{Name}.{term.Name}",
                Objective = term.Objective,
                Data = term.Data,
                Batch = term.Batch ?? Batch,
                Mix = term.Mix,
            }),
        ]
        : [this];

    /// <summary>Whether documents run on from row to row.</summary>
    public bool FillsRows => Objective is PretrainSpec && Batch?.Fill != false;

    /// <summary>Whether it samples its own answers.</summary>
    public bool SamplesAnswers => Objective is AlignSpec { Rollout: not null };

    /// <summary>Whether it reads pairs of answers that people ranked.</summary>
    public bool ReadsPairs => Objective is RewardModelSpec { Process: null }
        or AlignSpec { Rollout: null, Loss: { LearnsLabels: false, ReadsAnswers: false } };

    /// <summary>Whether it reads conversations with their answers.</summary>
    public bool ReadsAnswers =>
        Objective is FinetuneSpec { Prompt: null } or AlignSpec { Rollout: null, Loss.ReadsAnswers: true };

    /// <summary>Whether it reads answers that people judged as good or bad.</summary>
    public bool ReadsJudged => Objective is AlignSpec { Rollout: null, Loss.LearnsLabels: true };

    /// <summary>Whether a head over labels is trained: a task without the method <c>prompt</c>, or a reward model.</summary>
    public bool TrainsHead => Objective is RewardModelSpec || TrainsLabels;

    /// <summary>Whether a head over the labels of its rows is trained: a task without the method <c>prompt</c>.</summary>
    public bool TrainsLabels => Objective is TaskSpec && Method is not PromptMethod;
}

/// <summary>What a stage learns.</summary>
[Case("kind", "pretrain", typeof(PretrainSpec))]
[Case("kind", "finetune", typeof(FinetuneSpec))]
[Case("kind", "task", typeof(TaskSpec))]
[Case("kind", "align", typeof(AlignSpec))]
[Case("kind", "reward", typeof(RewardModelSpec))]
[Case("kind", "mix", typeof(MixSpec))]
public abstract record ObjectiveSpec
{
    /// <summary>The kind's name, as recipes write it.</summary>
    public abstract string Kind { get; }
}

/// <summary>
/// Unsupervised reading: the model learns the next token at every position. A masked model (BERT, RoBERTa) learns words that are masked,
/// and an encoder-decoder with gap tokens (T5) learns spans that are taken out.
/// </summary>
/// <param name="Text">The document made of a row: text in which <c>{field}</c> stands for a field's value.</param>
/// <param name="Mask">What is masked; for a model that reads in both directions.</param>
public sealed record PretrainSpec(string Text = "{text}", MaskSpec? Mask = null) : ObjectiveSpec
{
    /// <inheritdoc/>
    public override string Kind => "pretrain";
}

/// <summary>
/// The words that a masked model learns (Devlin et al. 2019), or the spans that an encoder-decoder learns (Raffel et al. 2020).
/// </summary>
/// <param name="Share">The share of a row's tokens that are learned, at least one token.</param>
/// <param name="Masked">Of these, the share that is read as the mask token; 0.8 when left out. For masked models.</param>
/// <param name="Random">Of these, the share that is read as a random token; 0.1 when left out. The rest is read as it is. For masked
/// models.</param>
/// <param name="Span">The mean length of a span in tokens; 3 when left out. For encoder-decoders.</param>
public sealed record MaskSpec(
    [Bounds(0.001, 0.9)] double Share = 0.15,
    [Bounds(0, 1)] double? Masked = null,
    [Bounds(0, 1)] double? Random = null,
    [Bounds(1, 100)] double? Span = null)
{
    /// <summary>The share of mask tokens among what is learned.</summary>
    public double MaskedShare => Masked ?? 0.8;

    /// <summary>The share of random tokens among what is learned.</summary>
    public double RandomShare => Random ?? 0.1;

    /// <summary>The mean length of a span.</summary>
    public double SpanLength => Span ?? 3;
}

/// <summary>Instructions: the loss counts the answer only.</summary>
/// <param name="Prompt">What the user says; the rows' own messages when left out, from sources with a <c>shape</c>.</param>
/// <param name="Answer">What the model learns to answer; left out together with <paramref name="Prompt"/>.</param>
public sealed record FinetuneSpec(string? Prompt = null, string? Answer = null) : ObjectiveSpec
{
    /// <inheritdoc/>
    public override string Kind => "finetune";
}

/// <summary>
/// A professional skill: one label for each row. The method <c>prompt</c> asks for it in words; every other method trains a head over
/// labels.
/// </summary>
/// <param name="Label">The field with the label.</param>
/// <param name="Text">What a head over labels reads of a row: text in which <c>{field}</c> stands for a field's value; <c>{text}</c> when
/// left out. With the method <c>prompt</c>, the template says it.</param>
/// <param name="Pooling">What of a row a fresh head over labels reads: the first token, the last one, or the mean or the maximum of all; as
/// the family does when left out.</param>
public sealed record TaskSpec(string Label, string? Text = null, RowPooling? Pooling = null) : ObjectiveSpec
{
    /// <summary>What a head reads of a row.</summary>
    public string Reads => Text ?? "{text}";

    /// <inheritdoc/>
    public override string Kind => "task";
}

/// <summary>What of a row a head over labels reads.</summary>
public enum RowPooling
{
    /// <summary>The first token (encoders).</summary>
    First,

    /// <summary>The last token (decoders).</summary>
    Last,

    /// <summary>The mean of all tokens.</summary>
    Mean,

    /// <summary>The greatest value of each feature over all tokens.</summary>
    Max,
}

/// <summary>What is trained.</summary>
[Case("kind", "full", typeof(FullMethod))]
[Case("kind", "freeze", typeof(FreezeMethod))]
[Case("kind", "lora", typeof(LoraMethod))]
[Case("kind", "delta", typeof(DeltaSpec))]
[Case("kind", "adapters", typeof(AdaptersMethod))]
[Case("kind", "prompt", typeof(PromptMethod))]
public abstract record MethodSpec
{
    /// <summary>The kind's name, as recipes write it.</summary>
    public abstract string Kind { get; }

    /// <summary>What is trained, without the prompt that asks and without short forms; null for every weight of the model.</summary>
    public MethodSpec? Plain() => this switch
    {
        PromptMethod prompt => prompt.Train?.Plain(),
        LoraMethod lora => lora.ToDelta(),
        _ => this,
    };
}

/// <summary>Every weight is trained.</summary>
public sealed record FullMethod : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "full";
}

/// <summary>Only chosen weights are trained: whole blocks, weights by name, or both.</summary>
/// <param name="Train">Patterns of weight names, <c>*</c> standing for anything, such as <c>model.norm.*</c>.</param>
/// <param name="FirstLayers">The number of blocks that train, counted from the token vectors.</param>
/// <param name="LastLayers">The number of blocks that train, counted from the head.</param>
/// <param name="Layers">The blocks that train, by number, from 0.</param>
public sealed record FreezeMethod(
    IReadOnlyList<string>? Train = null,
    [Bounds(1, 100000)] int? FirstLayers = null,
    [Bounds(1, 100000)] int? LastLayers = null,
    [Bounds(0, 100000)] IReadOnlyList<int>? Layers = null) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "freeze";
}

/// <summary>
/// Low-rank adaptation (Hu et al. 2021), with PEFT's names, defaults and initial values: y = Wx + (α/r)·B(A(dropout x)). The short form
/// of <c>delta</c> with <c>form: lora</c>.
/// </summary>
/// <param name="R">The rank.</param>
/// <param name="LoraAlpha">The numerator of the scale.</param>
/// <param name="LoraDropout">Dropout on the input of the delta.</param>
/// <param name="TargetModules">Projections by the end of their names; the family's query and value when left out, <c>all-linear</c> for
/// every projection except the head.</param>
/// <param name="UseRslora">Whether the scale is α/√r (Kalajdzievski 2023).</param>
/// <param name="Merge">Whether the delta is merged into the model when the stage ends. If not, the stage is measured with it, and the next
/// stage starts from the model without it. The adapter is saved in either case.</param>
/// <param name="Base">How the frozen weights are stored during training; as in the files when left out. <c>nf4</c> is QLoRA (Dettmers et
/// al. 2023). The saved model has the rounded weights.</param>
public sealed record LoraMethod(
    [Bounds(1, 65536)] int R = 8,
    [Bounds(0)] double LoraAlpha = 8,
    [Bounds(0, 0.999)] double LoraDropout = 0,
    IReadOnlyList<string>? TargetModules = null,
    bool UseRslora = false,
    bool Merge = true,
    BasePrecision? Base = null) : MethodSpec
{
    /// <inheritdoc/>
    public override string Kind => "lora";

    /// <summary>The delta that it is the short form of.</summary>
    public DeltaSpec ToDelta() => new(
        DeltaForm.Lora,
        TargetModules: TargetModules,
        Settings: new Dictionary<string, string>
        {
            ["r"] = R.ToString(CultureInfo.InvariantCulture),
            ["lora_alpha"] = LoraAlpha.ToString(CultureInfo.InvariantCulture),
            ["lora_dropout"] = LoraDropout.ToString(CultureInfo.InvariantCulture),
            ["use_rslora"] = UseRslora ? "true" : "false",
        },
        Merge: Merge,
        Base: Base);
}
