using System.Globalization;
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

    /// <summary>
    /// Looks for tasks as they were learned: in the stages of a run, or beside a model that is in none. Where rounds repeat a task, it is
    /// the one that was there when the model was measured in its run: the last one up to the model's own visit.
    /// </summary>
    /// <param name="run">The run's folder, or a model's.</param>
    /// <param name="model">The folder of the model that is measured.</param>
    public void LookIn(string run, string model)
    {
        var stages = Path.Combine(run, "stages");
        if (!Directory.Exists(stages))
        {
            Finished = _ => model;
            return;
        }
        var measured = VisitOf(Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(model))) ?? "").Number ?? int.MaxValue;
        Finished = name =>
        {
            var owner = materials.Recipe.OwnerOf(name);
            var visits = Directory.GetDirectories(stages).Select(place => (Place: place, Visit: VisitOf(Path.GetFileName(place))))
                .Where(one => one.Visit.Number is not null && IsVisit(one.Visit.Name, owner))
                .OrderBy(one => one.Visit.Number).Select(one => (Model: Path.Combine(one.Place, "model"), one.Visit.Number))
                .Where(one => File.Exists(Path.Combine(one.Model, PromptTask.FileName))).ToList();
            return visits.LastOrDefault(one => one.Number <= measured).Model ?? visits.FirstOrDefault().Model;
        };
    }

    private static (int? Number, string Name) VisitOf(string folder) =>
        folder.Split('-', 2) is [var number, var name] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var at)
            ? (at, name)
            : (null, folder);

    // A stage's later visits are named NAME.2, NAME.3.
    private static bool IsVisit(string visit, string? stage) => stage is not null && (visit == stage
        || (visit.StartsWith(stage + ".", StringComparison.Ordinal) && int.TryParse(
            visit.AsSpan(stage.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out _)));

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

    // A saved task is that of a stage where all that the recipe says is the same; what was found belongs to the saved one.
    private bool IsOf(PromptTask saved, StageSpec stage)
    {
        var method = (PromptMethod)stage.Method!;
        var asked = PromptTask.Of(method, materials.Data(stage).Labels(), ((TaskSpec)stage.Objective).Label);
        var shown = saved.Demonstrations is { } own ? (own.Each, own.Like, own.Contexts, own.Between) : default;
        var wanted = method.Demonstrations is { } spec ? (spec.Each, spec.Like, spec.Contexts, spec.Between) : default;
        return shown == wanted && Written(saved) == Written(asked);
    }

    private static string Written(PromptTask task) => (task with
    {
        Demonstrations = null,
        Prompts = [.. task.Prompts.Select(prompt => prompt with { Verbalizer = prompt.Verbalizer.WithoutFound() })],
    }).ToJson();

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
                seed,
                materials.LengthOf(stage)).Made(task);
        }
        catch (InputException e)
        {
            throw new InputException($"Stage {stage.Name}: {e.Message}", e);
        }
    }

    // The first of each, then the second of each: no word takes all the room.
    private static IEnumerable<string> InTurn(IReadOnlyList<IReadOnlyList<string>> lists) =>
        Enumerable.Range(0, lists.Count == 0 ? 0 : lists.Max(list => list.Count))
            .SelectMany(i => lists.Where(list => i < list.Count).Select(list => list[i]));

    // The words of a knowledge base are those that the recipe gives, then those of a file, then those that are related.
    private TaskPrompt Widened(TaskPrompt prompt, AskSpec ask, IReadOnlyList<string> labels)
    {
        if (ask.Verbalizer is not KnowledgeSpec spec) return prompt;
        // A file without names has the labels in the order of their names: that of frequency would change with the rows.
        List<string> named = [.. labels.Order(StringComparer.Ordinal)];
        var listed = spec.File is null
            ? null
            : LabelWordFile.Read(Path.GetFullPath(spec.File, Path.GetFullPath(materials.BaseFolder)), named);
        var net = spec.Table is null ? null : materials.Corpora.Words(spec.Table);
        IReadOnlyList<string> Of(string label)
        {
            var first = spec.Words?.GetValueOrDefault(label) ?? [label];
            var space = first[0].StartsWith(' ') ? " " : "";
            string Written(string word) => space + word.Trim();
            return
            [
                .. first
                    .Concat((listed?[named.IndexOf(label)] ?? []).Where(word => word.Trim().Length > 0).Select(Written))
                    .Concat(InTurn([.. first.Select(word => net?.Related(word, spec.Senses, spec.Most) ?? [])]).Select(Written))
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
                Words = labels.ToDictionary(label => label, Of),
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
