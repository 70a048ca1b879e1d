using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A task that a stage has learned with prompts: the templates around a row's fields, the labels, and what stands for them. It is saved
/// beside the stage's model, so that new texts can be labelled; its own weights lie in task.safetensors.
/// </summary>
/// <param name="Labels">The labels, in order.</param>
/// <param name="Label">The field that held the label in training.</param>
/// <param name="Prompts">The prompts.</param>
/// <param name="Together">How the answers of several prompts become one.</param>
/// <param name="Demonstrations">What stands before a question; null for nothing.</param>
/// <param name="Spans">How a sentence is asked span by span; null where a row is one question.</param>
/// <param name="Chain">The questions that are asked before the prompt; null for none.</param>
/// <param name="Rules">For each label, its answer to each question; null where the prompt's answer is the label.</param>
public sealed record PromptTask(
    IReadOnlyList<string> Labels,
    string Label,
    IReadOnlyList<TaskPrompt> Prompts,
    [property: JsonConverter(typeof(JsonStringEnumConverter<PromptsTogether>))] PromptsTogether Together = PromptsTogether.Mean,
    TaskDemonstrations? Demonstrations = null,
    TaskSpans? Spans = null,
    IReadOnlyList<TaskQuestion>? Chain = null,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Rules = null)
{
    /// <summary>The file in a model's folder.</summary>
    public const string FileName = "task.json";

    /// <summary>The fields of a row that it asks for.</summary>
    public IReadOnlyList<string> Needs()
    {
        if (Spans is not null) return [Spans.Words, .. Fields().Where(field => field != Spans.Words && field != SpansSpec.Span)];
        var made = (Chain ?? []).Select(question => question.Name).ToHashSet();
        return
        [
            .. (Chain ?? []).SelectMany(question => FieldsOf([question.Prompt])).Concat(Fields()).Where(field => !made.Contains(field))
                .Distinct(),
        ];
    }

    /// <summary>The answers that the prompt's own question chooses from: the labels, or what rules name.</summary>
    [JsonIgnore]
    public IReadOnlyList<string> LastLabels => Rules is null ? Labels : TaskQuestion.Choices(Prompts[0].Verbalizer, Rules, Chain!.Count);

    /// <summary>The fields that the templates ask for.</summary>
    public IReadOnlyList<string> Fields() => FieldsOf(Prompts);

    private static IReadOnlyList<string> FieldsOf(IReadOnlyList<TaskPrompt> prompts) =>
    [
        .. prompts.SelectMany(prompt => TemplateFields.OfPrompt(prompt.Template)).Where(field => field != TemplateFields.Mask)
            .Concat(prompts.Where(prompt => prompt.Verbalizer.Kind == "texts").SelectMany(prompt => prompt.Verbalizer.Words?.Values ?? [])
                .SelectMany(texts => texts).SelectMany(TemplateFields.In)).Distinct(),
    ];

    /// <summary>The task of a stage, before anything is learned.</summary>
    /// <param name="prompt">Its prompts.</param>
    /// <param name="labels">Its labels, in order.</param>
    /// <param name="label">The field that holds the label.</param>
    public static PromptTask Of(PromptMethod prompt, IReadOnlyList<string> labels, string label)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return new(
            labels,
            label,
            [.. prompt.Asks().Select(ask => new TaskPrompt(
                ask.Template,
                TaskVerbalizer.Of(ask.Verbalizer!),
                ask.Cut ?? CutSide.Tail,
                ask.Encoder,
                ask.Score ?? PromptScore.Direct))],
            prompt.Together,
            Spans: prompt.Spans is { } spans
                ? new TaskSpans(
                    spans.Words,
                    spans.MaxWords,
                    spans.None,
                    spans.Join,
                    spans.Names)
                : null,
            Chain: prompt.Chain?.Select((question, i) => TaskQuestion.Of(question, i, prompt.Rules)).ToList(),
            Rules: prompt.Rules);
    }

    /// <summary>Writes the file.</summary>
    /// <param name="folder">The model's folder.</param>
    public void Save(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), ToJson() + "\n");

    /// <summary>The task as it is written.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonLayout.IndentedRecord);

    /// <summary>Reads the file; null when there is none.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">It is damaged.</exception>
    public static PromptTask? Read(string folder)
    {
        var file = Path.Combine(folder, FileName);
        if (!File.Exists(file)) return null;
        try
        {
            var node = JsonNode.Parse(File.ReadAllBytes(file));
            var task = node is JsonObject one && one.ContainsKey("template")
                ? Former(one)
                : node.Deserialize<PromptTask>(JsonLayout.IndentedRecord);
            if (task is { Prompts.Count: > 0, Labels.Count: > 0, Label: not null }
                && task.Prompts.All(prompt => prompt is { Template: not null, Verbalizer.Kind: not null }))
                return task;
        }
        catch (JsonException e)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or train the stage again.", e);
        }
        throw new InputException($"{file} is damaged: it should hold prompts, labels and label. Restore it, or train the stage again.");
    }

    // Tasks that were saved when a task had one prompt with written words.
    private static PromptTask? Former(JsonObject one)
    {
        var verbalizer = one.DeepClone().AsObject();
        verbalizer["kind"] = new WordsSpec().Kind;
        one["verbalizer"] = verbalizer;
        one["prompts"] = new JsonArray(one.DeepClone());
        return one.Deserialize<PromptTask>(JsonLayout.IndentedRecord);
    }
}
