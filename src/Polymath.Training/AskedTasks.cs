using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using Polymath.Tuning.Prompts;

namespace Polymath.Training;

/// <summary>
/// The tasks of a run that prompts ask for: as they are being learned, as their stages have left them, or fresh before that.
/// </summary>
/// <param name="materials">The run's data and settings.</param>
public sealed class AskedTasks(Materials materials) : IDisposable
{
    private readonly Dictionary<string, AskedTask> tasks = new(StringComparer.Ordinal);

    // Those that are only asked before their stage has begun.
    private readonly HashSet<string> fresh = new(StringComparer.Ordinal);

    /// <summary>Finds the folder in which a stage's finished model lies; null before that.</summary>
    internal Func<string, string?> Finished { get; set; } = _ => null;

    /// <summary>Looks for tasks as they were learned in the folder of a model that is measured.</summary>
    /// <param name="folder">The model's folder.</param>
    public void LookIn(string folder) => Finished = _ => folder;

    /// <summary>
    /// Makes the task of a stage that begins: it is measured by it from here on. A later round goes on from what the one before has left.
    /// </summary>
    /// <param name="stage">The stage.</param>
    /// <param name="model">The model that it starts from.</param>
    /// <exception cref="InputException">The model cannot read a template or a label's words.</exception>
    internal AskedTask Begin(StageSpec stage, TextModel model)
    {
        var made = Finished(stage.Name) is { } folder && PromptTask.Read(folder) is { } saved && IsOf(saved, stage)
            ? AskedTask.Open(model, saved, folder)
            : Fresh(stage, model);
        Keep(stage.Name, made);
        fresh.Remove(stage.Name);
        return made;
    }

    /// <summary>The task of a stage as it is now.</summary>
    /// <param name="name">The stage.</param>
    /// <param name="model">A model that is asked.</param>
    internal AskedTask Of(string name, TextModel model)
    {
        if (tasks.TryGetValue(name, out var known) && !fresh.Contains(name)) return known;
        if (Finished(name) is { } folder && PromptTask.Read(folder) is { } saved && IsOf(saved, materials.Stage(name)))
        {
            fresh.Remove(name);
            return Keep(name, AskedTask.Open(model, saved, folder));
        }
        // What starts from the model's own words is made anew: the model may have learned since.
        fresh.Add(name);
        return Keep(name, Fresh(materials.Stage(name), model));
    }

    private bool IsOf(PromptTask saved, StageSpec stage)
    {
        var asks = ((PromptMethod)stage.Method!).Asks();
        return saved.Labels.SequenceEqual(materials.Data(stage).Labels())
            && saved.Prompts.Select(prompt => (prompt.Template, prompt.Encoder, prompt.Verbalizer.Kind))
                .SequenceEqual(asks.Select(ask => (ask.Template, ask.Encoder, ask.Verbalizer!.Kind)));
    }

    private AskedTask Fresh(StageSpec stage, TextModel model)
    {
        var (data, method, spec) = (materials.Data(stage), (PromptMethod)stage.Method!, (TaskSpec)stage.Objective);
        var labels = data.Labels();
        var seed = new RandomStream(materials.Recipe.Seed, $"prompts of {stage.Name}").NextBits();
        try
        {
            var task = PromptTask.Of(method, labels, spec.Label);
            task = task with { Prompts = [.. task.Prompts.Zip(method.Asks(), (prompt, ask) => Widened(prompt, ask, labels))] };
            var rows = data.Rows(DataSplit.Train);
            var order = new Permutation(rows.Count, materials.Recipe.Seed, $"looked at by {stage.Name}", 0);
            return new TaskLook(
                model,
                method,
                [.. Enumerable.Range(0, rows.Count).Select(i => rows[order[i]]).Select(row => new TaskRow(
                    row.Name,
                    row.Fields,
                    labels.Index().First(label => label.Item == row.Fields.GetValueOrDefault(spec.Label, "")).Index))],
                seed).Made(task);
        }
        catch (InputException e)
        {
            throw new InputException($"Stage {stage.Name}: {e.Message}", e);
        }
    }

    // The words of a knowledge base are those that the recipe gives, then those of a file, then those that are related.
    private TaskPrompt Widened(TaskPrompt prompt, AskSpec ask, IReadOnlyList<string> labels)
    {
        if (ask.Verbalizer is not KnowledgeSpec spec) return prompt;
        var listed = spec.File is null
            ? null
            : LabelWordFile.Read(Path.GetFullPath(spec.File, Path.GetFullPath(materials.BaseFolder)), labels);
        var net = spec.Table is null ? null : materials.Corpora.Words(spec.Table);
        IReadOnlyList<string> Of(string label, int number)
        {
            var first = spec.Words?.GetValueOrDefault(label) ?? [label];
            var space = first[0].StartsWith(' ') ? " " : "";
            string Written(string word) => space + word.Trim();
            return
            [
                .. first
                    .Concat((listed?[number] ?? []).Where(word => word.Trim().Length > 0).Select(Written))
                    .Concat(first.SelectMany(word => net?.Related(word, spec.Senses, spec.Most) ?? []).Select(Written))
                    .Distinct(StringComparer.Ordinal).Take(Math.Max(spec.Most, first.Count)),
            ];
        }
        foreach (var label in spec.Words?.Keys.Where(label => !labels.Contains(label)) ?? [])
            throw new InputException($"The verbalizer has words for '{label}', which is not a label of the data; labels are "
                + $"{string.Join(", ", labels)}.");
        return prompt with
        {
            Verbalizer = prompt.Verbalizer with
            {
                Words = labels.Index().ToDictionary(label => label.Item, label => Of(label.Item, label.Index)),
            },
        };
    }

    private AskedTask Keep(string name, AskedTask made)
    {
        if (tasks.Remove(name, out var before)) before.Dispose();
        return tasks[name] = made;
    }

    /// <summary>Frees the tasks.</summary>
    public void Dispose()
    {
        foreach (var task in tasks.Values) task.Dispose();
        tasks.Clear();
    }
}
