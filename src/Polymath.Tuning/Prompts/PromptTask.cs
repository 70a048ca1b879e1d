using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Tuning.Prompts;

/// <summary>How a task's labels are read, as it is saved: what a stage has found and chosen is in it.</summary>
/// <param name="Kind">The kind of the verbalizer.</param>
/// <param name="Words">The words of each label; a missing label stands for itself.</param>
/// <param name="Reading">How a word of several tokens is read.</param>
/// <param name="ContentFree">Texts that say nothing, for calibration; null for none.</param>
public sealed record TaskVerbalizer(
    string Kind,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words = null,
    [property: JsonConverter(typeof(JsonStringEnumConverter<WordReading>))] WordReading Reading = WordReading.First,
    IReadOnlyList<string>? ContentFree = null);

/// <summary>One prompt of a task, as it is saved.</summary>
/// <param name="Template">The template.</param>
/// <param name="Verbalizer">How the labels are read.</param>
/// <param name="Cut">Where rows that are too long are cut.</param>
/// <param name="Encoder">The network between the soft tokens and the model; null for none.</param>
public sealed record TaskPrompt(
    string Template,
    TaskVerbalizer Verbalizer,
    [property: JsonConverter(typeof(JsonStringEnumConverter<CutSide>))] CutSide Cut = CutSide.Tail,
    [property: JsonConverter(typeof(JsonStringEnumConverter<SoftEncoder>))] SoftEncoder? Encoder = null);

/// <summary>
/// A task that a stage has learned with prompts: the templates around a row's fields, the labels, and what stands for them. It is saved
/// beside the stage's model, so that new texts can be labelled; its own weights lie in task.safetensors.
/// </summary>
/// <param name="Labels">The labels, in order.</param>
/// <param name="Label">The field that held the label in training.</param>
/// <param name="Prompts">The prompts.</param>
public sealed record PromptTask(IReadOnlyList<string> Labels, string Label, IReadOnlyList<TaskPrompt> Prompts)
{
    /// <summary>The file in a model's folder.</summary>
    public const string FileName = "task.json";

    /// <summary>The fields that the templates ask for.</summary>
    public IReadOnlyList<string> Fields() =>
    [
        .. Prompts.SelectMany(prompt => TemplateFields.OfPrompt(prompt.Template)).Where(field => field != TemplateFields.Mask).Distinct(),
    ];

    /// <summary>The task of a stage, before anything is learned.</summary>
    /// <param name="prompt">Its prompts.</param>
    /// <param name="labels">Its labels, in order.</param>
    /// <param name="label">The field that holds the label.</param>
    public static PromptTask Of(PromptMethod prompt, IReadOnlyList<string> labels, string label)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        return new(labels, label, [.. prompt.Asks().Select(Of)]);
    }

    /// <summary>How the words of several tokens of a prompt are read.</summary>
    /// <param name="ask">The prompt.</param>
    public static WordReading ReadingOf(AskSpec ask)
    {
        ArgumentNullException.ThrowIfNull(ask);
        return Of(ask.Verbalizer!).Reading;
    }

    private static TaskPrompt Of(AskSpec ask) => new(
        ask.Template,
        Of(ask.Verbalizer!),
        ask.Cut ?? CutSide.Tail,
        ask.Encoder);

    private static TaskVerbalizer Of(VerbalizerSpec spec)
    {
        var task = new TaskVerbalizer(spec.Kind, spec.Given);
        return spec switch
        {
            SoftLabelsSpec => task with { Reading = WordReading.Mean },
            WordsSpec words => task with { Reading = words.Read, ContentFree = words.ContentFree },
            _ => task,
        };
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
            var task = node is JsonObject { } one && one.ContainsKey("template") ? Former(one) : node.Deserialize<PromptTask>(
                JsonLayout.IndentedRecord);
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
        var verbalizer = one.Deserialize<TaskVerbalizer>(JsonLayout.IndentedRecord)! with { Kind = new WordsSpec().Kind };
        one["verbalizer"] = JsonSerializer.SerializeToNode(verbalizer, JsonLayout.IndentedRecord);
        one["prompts"] = new JsonArray(one.DeepClone());
        return one.Deserialize<PromptTask>(JsonLayout.IndentedRecord);
    }
}
