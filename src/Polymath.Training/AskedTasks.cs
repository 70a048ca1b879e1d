using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Training.Stages;
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

    /// <summary>Makes the task of a stage that begins: it is measured by it from here on.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="model">The model that it starts from.</param>
    /// <exception cref="InputException">The model cannot read a template or a label's words.</exception>
    internal AskedTask Begin(StageSpec stage, TextModel model)
    {
        var made = Fresh(stage, model);
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
        if (Finished(name) is { } folder && PromptTask.Read(folder) is { } saved)
        {
            fresh.Remove(name);
            return Keep(name, AskedTask.Open(model, saved, folder));
        }
        // What starts from the model's own words is made anew: the model may have learned since.
        fresh.Add(name);
        return Keep(name, Fresh(materials.Stage(name), model));
    }

    private AskedTask Fresh(StageSpec stage, TextModel model)
    {
        var task = PromptTask.Of((PromptMethod)stage.Method!, materials.Data(stage).Labels(), ((TaskSpec)stage.Objective).Label);
        try
        {
            return AskedTask.Fresh(model, task, new RandomStream(materials.Recipe.Seed, $"prompts of {stage.Name}").NextBits());
        }
        catch (InputException e)
        {
            throw new InputException($"Stage {stage.Name}: {e.Message}", e);
        }
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
