using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Tuning.Prompts;

/// <summary>How a task's labels are read, as it is saved: what a stage has found and chosen is in it.</summary>
/// <param name="Kind">The kind of the verbalizer.</param>
/// <param name="Words">The words of each label, or its texts; a missing label stands for itself.</param>
/// <param name="Reading">How a word of several tokens is read.</param>
/// <param name="ContentFree">Texts that say nothing, for calibration; null for none.</param>
/// <param name="Domain">A prompt without fields, for calibration; null for none.</param>
/// <param name="Contextual">Whether words are calibrated by probabilities that were measured before the first step.</param>
/// <param name="Tokens">The token of each word, where a search has found them.</param>
/// <param name="Learns">Whether words have weights.</param>
/// <param name="Width">The width of the space of prototypes.</param>
/// <param name="Sharpness">What cosines with prototypes are multiplied with.</param>
/// <param name="Beside">The share of the words beside prototypes.</param>
/// <param name="Sum">Whether a text's log-probability is the sum over its tokens.</param>
/// <param name="Answers">How many answers are read.</param>
public sealed record TaskVerbalizer(
    string Kind,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    [property: JsonConverter(typeof(JsonStringEnumConverter<WordReading>))] WordReading Reading = WordReading.First,
    IReadOnlyList<string>? ContentFree = null,
    string? Domain = null,
    bool Contextual = false,
    IReadOnlyDictionary<string, IReadOnlyList<int>>? Tokens = null,
    bool Learns = false,
    int? Width = null,
    double? Sharpness = null,
    double? Beside = null,
    bool Sum = false,
    int Answers = 1)
{
    /// <summary>The kind of a verbalizer whose words are not known yet.</summary>
    internal const string Nothing = "nothing";

    /// <summary>Whether the words' probabilities are divided by others.</summary>
    [JsonIgnore]
    public bool IsCalibrated => ContentFree is { Count: > 0 } || Domain is not null || Contextual;

    /// <summary>What a recipe says of it, without what was found before the first step.</summary>
    public TaskVerbalizer WithoutFound() =>
        Kind is "knowledge" or "search" ? this with { Words = null, Tokens = null, Contextual = false } : this;

    /// <summary>A verbalizer before anything is found.</summary>
    /// <param name="spec">What a recipe says of it.</param>
    public static TaskVerbalizer Of(VerbalizerSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var task = new TaskVerbalizer(spec.Kind, spec.Given) { Answers = spec.Answers };
        task = spec switch
        {
            WordsSpec words => task with { Reading = words.Read },
            OneToOneSpec one => task with { Reading = one.Read },
            SoftLabelsSpec => task with { Reading = WordReading.Mean },
            KnowledgeSpec knowledge => task with { Reading = knowledge.Read, Learns = knowledge.Learn },
            TextsSpec texts => task with { Sum = texts.Read == TextReading.Sum },
            PrototypesSpec prototypes => task with
            {
                Reading = prototypes.Read,
                Width = prototypes.Width,
                Sharpness = prototypes.Sharpness,
                Beside = prototypes.Beside,
            },
            _ => task,
        };
        return spec.Calibration switch
        {
            ContentFreeSpec free => task with { ContentFree = free.Texts },
            DomainSpec domain => task with { Domain = domain.Text },
            PmiSpec => task with { Domain = "{mask}" },
            ContextualSpec => task with { Contextual = true },
            _ => task,
        };
    }
}

/// <summary>One prompt of a task, as it is saved.</summary>
/// <param name="Template">The template.</param>
/// <param name="Verbalizer">How the labels are read.</param>
/// <param name="Cut">Where rows that are too long are cut.</param>
/// <param name="Encoder">The network between the soft tokens and the model; null for none.</param>
/// <param name="Score">Which probability is a label's score.</param>
public sealed record TaskPrompt(
    string Template,
    TaskVerbalizer Verbalizer,
    [property: JsonConverter(typeof(JsonStringEnumConverter<CutSide>))] CutSide Cut = CutSide.Tail,
    [property: JsonConverter(typeof(JsonStringEnumConverter<SoftEncoder>))] SoftEncoder? Encoder = null,
    [property: JsonConverter(typeof(JsonStringEnumConverter<PromptScore>))] PromptScore Score = PromptScore.Direct);

/// <summary>A labelled text of a task.</summary>
/// <param name="Fields">The fields that the templates ask for.</param>
/// <param name="Label">The number of its label.</param>
public sealed record TaskExample(IReadOnlyDictionary<string, string> Fields, int Label);

/// <summary>The demonstrations of a task, as they are saved.</summary>
/// <param name="Each">How many of each label stand before a question.</param>
/// <param name="Like">How they are chosen.</param>
/// <param name="Contexts">How many different sets are asked with.</param>
/// <param name="Between">What stands behind each of them.</param>
/// <param name="Seed">The seed of what is chosen at random.</param>
/// <param name="Rows">The texts that they are chosen from.</param>
public sealed record TaskDemonstrations(
    int Each,
    [property: JsonConverter(typeof(JsonStringEnumConverter<DemonstrationsLike>))] DemonstrationsLike Like,
    int Contexts,
    string Between,
    long Seed,
    IReadOnlyList<TaskExample> Rows);

/// <summary>How a sentence is asked span by span, as it is saved.</summary>
/// <param name="Words">The field with the words.</param>
/// <param name="MaxWords">The most words of a span.</param>
/// <param name="None">The label of a span that is no entity.</param>
/// <param name="Join">What stands between two words.</param>
/// <param name="Names">The tag of each number, where a row's tags are numbers.</param>
public sealed record TaskSpans(
    string Words,
    int MaxWords,
    string None,
    string Join,
    IReadOnlyList<string>? Names = null);

/// <summary>A question of a chain, as it is saved.</summary>
/// <param name="Name">The name of its answer in later templates.</param>
/// <param name="Prompt">The prompt.</param>
/// <param name="Labels">The answers that it chooses from; none where the answer is written.</param>
/// <param name="Tokens">The most tokens of an answer that is written; 0 where it is chosen.</param>
/// <param name="Field">The field that held the right answer in training; null for none.</param>
public sealed record TaskQuestion(
    string Name,
    TaskPrompt Prompt,
    IReadOnlyList<string> Labels,
    int Tokens = 0,
    string? Field = null)
{
    /// <summary>Whether the answer is written.</summary>
    [JsonIgnore]
    public bool IsWritten => Tokens > 0;

    /// <summary>A question of a recipe.</summary>
    /// <param name="spec">What the recipe says of it.</param>
    /// <param name="number">Its number.</param>
    /// <param name="rules">What labels say of its answers; null for nothing.</param>
    internal static TaskQuestion Of(QuestionSpec spec, int number, IReadOnlyDictionary<string, IReadOnlyList<string>>? rules)
    {
        var read = spec.Tokens is null ? TaskVerbalizer.Of(spec.Read) : new TaskVerbalizer(AskedChain.WrittenKind);
        return new TaskQuestion(
            spec.Name,
            new TaskPrompt(spec.Template, read, spec.Cut ?? CutSide.Tail),
            spec.Tokens is null ? Choices(read, rules, number) : [],
            spec.Tokens ?? 0,
            spec.Answer);
    }

    /// <summary>What a question chooses from: the answers that have words, or those that rules name.</summary>
    /// <param name="verbalizer">How it is read.</param>
    /// <param name="rules">What labels say of the answers; null for nothing.</param>
    /// <param name="number">The number of the question.</param>
    internal static IReadOnlyList<string> Choices(
        TaskVerbalizer verbalizer,
        IReadOnlyDictionary<string, IReadOnlyList<string>>? rules,
        int number) =>
        verbalizer.Words is { } words ? [.. words.Keys] : [.. rules!.Values.Select(answers => answers[number]).Distinct()];
}
