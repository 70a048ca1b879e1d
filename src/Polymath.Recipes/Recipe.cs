namespace Polymath.Recipes;

/// <summary>Where figures are written besides <c>metrics.jsonl</c>.</summary>
public enum LogFormat
{
    /// <summary>Event files that TensorBoard opens, in the run's folder <c>tensorboard</c>.</summary>
    Tensorboard,
}

/// <summary>A model's whole education: the model, its data, and the stages it goes through.</summary>
/// <param name="Name">The run's name; the run folder is <c>runs/NAME</c> unless another folder is given. Letters, digits, '-', '_' and
/// '.'.</param>
/// <param name="Model">The model: a new one by family and sizes, or a checkpoint folder.</param>
/// <param name="Data">The named sources of examples.</param>
/// <param name="Stages">The stages, in order.</param>
/// <param name="Seed">The seed of everything random in the run.</param>
/// <param name="Description">One line that says what the recipe is for.</param>
/// <param name="Tokenizer">How the tokenizer is trained; needed for a new model, taken from the folder for a checkpoint.</param>
/// <param name="Chat">How a user's message becomes the model's input, in training and in generation.</param>
/// <param name="Tables">Named tables over characters: conversions and classes.</param>
/// <param name="Rewards">Named, verifiable scores of an answer.</param>
/// <param name="Abilities">Named measurements, taken before the first stage and after each one.</param>
/// <param name="Rounds">How often the list of stages, or a part of it, is repeated.</param>
/// <param name="Log">Where figures are written besides <c>metrics.jsonl</c>.</param>
public sealed record Recipe(
    string Name,
    ModelSpec Model,
    IReadOnlyDictionary<string, DataSpec> Data,
    IReadOnlyList<StageSpec> Stages,
    int Seed = 0,
    string? Description = null,
    TokenizerSpec? Tokenizer = null,
    ChatSpec? Chat = null,
    IReadOnlyDictionary<string, TableSpec>? Tables = null,
    IReadOnlyDictionary<string, RewardSpec>? Rewards = null,
    IReadOnlyDictionary<string, AbilitySpec>? Abilities = null,
    RoundsSpec? Rounds = null,
    IReadOnlyList<LogFormat>? Log = null)
{
    /// <summary>The stages of the rounds in which some are changed, by round.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<StageSpec>> Changed { get; init; } = new Dictionary<int, IReadOnlyList<StageSpec>>();

    /// <summary>All stages as they are written: those of the first round, and those that a later round changes.</summary>
    public IEnumerable<StageSpec> AllStages() => Visits().Select(visit => visit.Stage).Distinct();

    /// <summary>The stage of a name, or the one that has a term of this name in any round; null where there is none.</summary>
    /// <param name="part">The name, <c>STAGE</c> or <c>STAGE.TERM</c>.</param>
    public string? OwnerOf(string part) =>
        AllStages().FirstOrDefault(stage => stage.Name == part || stage.Parts().Any(own => own.Name == part))?.Name;

    /// <summary>The recipe as canonical YAML: settings that equal their defaults are left out.</summary>
    public string ToYaml() => RecipeWriter.Write(this);

    /// <summary>
    /// The stages in the order of training, with rounds unrolled; a stage's later visits are named <c>NAME.2</c>, <c>NAME.3</c>.
    /// </summary>
    public IReadOnlyList<StageVisit> Visits()
    {
        // A faulty recipe may have none.
        var visits = (Stages ?? []).Select(stage => new StageVisit(stage, 1)).ToList();
        for (var round = 2; round <= (Rounds?.Count ?? 1); round++)
        {
            var stages = Changed.TryGetValue(round, out var changed) ? changed : Stages ?? [];
            visits.AddRange(stages.Where(stage => Rounds!.Stages?.Contains(stage.Name) != false)
                .Select(stage => new StageVisit(stage, round)));
        }
        return visits;
    }

    /// <summary>
    /// The visit that another starts from; null where it starts from the recipe's model, or from a folder that its stage names.
    /// </summary>
    /// <param name="visit">The visit.</param>
    public StageVisit? ParentOf(StageVisit visit)
    {
        ArgumentNullException.ThrowIfNull(visit);
        var before = Visits().TakeWhile(other => other != visit);
        return visit.Stage.From is { } from
            ? before.LastOrDefault(other => other.Stage.Name == from)
            : before.LastOrDefault(other => !other.Stage.IsBranch);
    }

    /// <summary>The model that a visit starts from where it is none of the recipe's stages: what its stage names, or null for the
    /// recipe's.</summary>
    /// <param name="visit">The visit.</param>
    public string? FolderOf(StageVisit visit)
    {
        ArgumentNullException.ThrowIfNull(visit);
        return visit.Stage.From is { } from && Stages.All(stage => stage.Name != from) ? from : null;
    }
}

/// <summary>One visit of a stage: the stage and the round it is visited in.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="Round">The round, from 1.</param>
public sealed record StageVisit(StageSpec Stage, int Round)
{
    /// <summary>The stage's name; from the second round on, the round's number follows it.</summary>
    public string Name => Round == 1 ? Stage.Name : $"{Stage.Name}.{Round}";
}

/// <summary>How often the stages are repeated.</summary>
/// <param name="Count">The number of rounds.</param>
/// <param name="Stages">The stages that later rounds repeat; all of them when left out.</param>
/// <param name="Changes">What is different in a later round, by its number and the stage's name, such as <c>{2: {finetune: {steps:
/// 100}}}</c>. Settings that are not named stay; a change that names another <c>kind</c> is the whole stage.</param>
[Shorthand(nameof(Count))]
public sealed record RoundsSpec(
    [Bounds(1, 1000)] int Count,
    [Means(Meaning.StageName)] IReadOnlyList<string>? Stages = null,
    IReadOnlyDictionary<string, IReadOnlyDictionary<string, WrittenSettings>>? Changes = null);

/// <summary>How a user's message becomes the model's input.</summary>
/// <param name="Convert">Conversion tables that each message passes through, in order.</param>
/// <param name="System">A message before every conversation.</param>
/// <param name="Template">A chat template: a shipped one, one of the model's own by name, or a file that ends in <c>.jinja</c>; the model's
/// own when left out.</param>
/// <param name="Variables">Variables for the chat template, such as <c>enable_thinking: false</c>.</param>
public sealed record ChatSpec(
    [Means(Meaning.TableName)] IReadOnlyList<string>? Convert = null,
    string? System = null,
    [Means(Meaning.Template)] string? Template = null,
    IReadOnlyDictionary<string, string>? Variables = null);

/// <summary>The shipped chat templates.</summary>
public enum TemplateName
{
    /// <summary>Stanford Alpaca: <c>### Instruction:</c> and <c>### Response:</c>.</summary>
    Alpaca,

    /// <summary>ChatGLM-6B: the question, <c>[gMASK] &lt;sop&gt;</c>, the answer, <c>&lt;eop&gt;</c>.</summary>
    Chatglm,

    /// <summary>ChatGLM2-6B: <c>[gMASK] sop</c>, <c>[Round 1]</c>, <c>问：</c>, <c>答：</c>.</summary>
    Chatglm2,

    /// <summary>ChatGLM3: role tokens behind <c>[gMASK]sop</c>.</summary>
    Chatglm3,

    /// <summary>ChatML: <c>&lt;|im_start|&gt;</c> and <c>&lt;|im_end|&gt;</c>.</summary>
    Chatml,

    /// <summary>Gemma: <c>&lt;start_of_turn&gt;</c> and <c>&lt;end_of_turn&gt;</c>.</summary>
    Gemma,

    /// <summary>GLM-4: role tokens after <c>[gMASK]&lt;sop&gt;</c>.</summary>
    Glm4,

    /// <summary>Llama 2: <c>[INST]</c> and <c>&lt;&lt;SYS&gt;&gt;</c>.</summary>
    Llama2,

    /// <summary>Llama 3: headers and <c>&lt;|eot_id|&gt;</c>.</summary>
    Llama3,

    /// <summary>Mistral: <c>[INST]</c> with one begin token.</summary>
    Mistral,

    /// <summary>Phi-3: role tokens and <c>&lt;|end|&gt;</c>.</summary>
    Phi,

    /// <summary>Qwen: ChatML with its system message.</summary>
    Qwen,

    /// <summary>Vicuna 1.1: <c>USER:</c> and <c>ASSISTANT:</c>.</summary>
    Vicuna,
}
