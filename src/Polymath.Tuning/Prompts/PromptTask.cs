using System.Text.Json;
using System.Text.Json.Serialization;
using Polymath.Recipes;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A task that a stage has learned with a prompt: the template around a row's fields, the labels, and the words that stand for them. It is
/// saved beside the stage's model, so that new texts can be labelled.
/// </summary>
/// <param name="Template">The prompt, with <c>{mask}</c> where the answer is read.</param>
/// <param name="Labels">The labels, in order.</param>
/// <param name="Words">The words of each label; a missing label stands for itself.</param>
/// <param name="Label">The field that held the label in training.</param>
/// <param name="Reading">How a word of several tokens is read.</param>
/// <param name="Cut">Where rows that are too long are cut.</param>
/// <param name="ContentFree">Texts that say nothing, for calibration; null for none.</param>
public sealed record PromptTask(
    string Template,
    IReadOnlyList<string> Labels,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words,
    string Label,
    [property: JsonConverter(typeof(JsonStringEnumConverter<WordReading>))] WordReading Reading = WordReading.First,
    [property: JsonConverter(typeof(JsonStringEnumConverter<CutSide>))] CutSide Cut = CutSide.Tail,
    IReadOnlyList<string>? ContentFree = null)
{
    /// <summary>The file in a model's folder.</summary>
    public const string FileName = "task.json";

    /// <summary>The fields that the template asks for.</summary>
    public IReadOnlyList<string> Fields() =>
        [.. TemplateFields.OfPrompt(Template).Where(field => field != TemplateFields.Mask).Distinct()];

    /// <summary>The task of a stage.</summary>
    /// <param name="prompt">Its prompt.</param>
    /// <param name="labels">Its labels, in order.</param>
    /// <param name="label">The field that holds the label.</param>
    public static PromptTask Of(PromptMethod prompt, IReadOnlyList<string> labels, string label)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        var words = prompt.Verbalizer;
        return new(
            prompt.Template,
            labels,
            words.Words,
            label,
            words.Read,
            prompt.Cut,
            words.ContentFree);
    }

    /// <summary>Writes the file.</summary>
    /// <param name="folder">The model's folder.</param>
    public void Save(string folder) =>
        AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, JsonLayout.IndentedRecord) + "\n");

    /// <summary>Reads the file; null when there is none.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="InputException">It is damaged.</exception>
    public static PromptTask? Read(string folder)
    {
        var file = Path.Combine(folder, FileName);
        if (!File.Exists(file)) return null;
        try
        {
            var task = JsonSerializer.Deserialize<PromptTask>(File.ReadAllBytes(file), JsonLayout.IndentedRecord);
            if (task is { Template: not null, Labels.Count: > 0, Label: not null }) return task;
        }
        catch (JsonException e)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or train the stage again.", e);
        }
        throw new InputException($"{file} is damaged: it should hold template, labels and label. Restore it, or train the stage again.");
    }
}
