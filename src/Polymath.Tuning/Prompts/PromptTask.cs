using System.Text.Json;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Tuning.Prompts;

/// <summary>
/// A task that a stage has learned with a prompt: the template around a row's fields, the labels, and the words that stand for them. It is
/// saved beside the stage's model, so that new texts can be labelled.
/// </summary>
/// <param name="Template">The prompt, with <c>{mask}</c> where the answer is read.</param>
/// <param name="Labels">The labels, in order.</param>
/// <param name="Words">The words of each label; a missing label stands for itself.</param>
/// <param name="Label">The field that held the label in training.</param>
public sealed record PromptTask(
    string Template,
    IReadOnlyList<string> Labels,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Words,
    string Label)
{
    /// <summary>The file in a model's folder.</summary>
    public const string FileName = "task.json";

    /// <summary>The fields that the template asks for.</summary>
    public IReadOnlyList<string> Fields() =>
        [.. new FieldText(Template).Parts.Where(part => part.IsField && part.Text != ChatTemplate.Mask)
            .Select(part => part.Text).Distinct()];

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
