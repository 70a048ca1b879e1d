using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Runs;

/// <summary>
/// A run's folder: <c>recipe.yaml</c>, <c>environment.json</c>, <c>metrics.jsonl</c>, <c>samples.jsonl</c>, <c>stages/NN-name</c>, the
/// reports. Only one process uses it at a time.
/// </summary>
public sealed class RunFolder : IDisposable
{
    // What may change of a stage while it is trained: how long, what is measured and saved, how a step is cut into passes.
    private static readonly string[] free = ["steps", "epochs", "evaluate", "checkpoint", "require", "else", "stop"],
        freeOfBatch = ["microTokens", "microRows", "gradientCheckpointing"];

    /// <summary>The name of the file of all measured figures.</summary>
    public const string MetricsFile = "metrics.jsonl";

    private readonly FileStream guard;
    private RunState state;

    private RunFolder(string path, FileStream guard)
    {
        (Path, this.guard) = (path, guard);
        state = RunState.Of(Before());
    }

    // The state says nothing that training needs, so a damaged one is written anew.
    private RunState? Before()
    {
        try
        {
            return System.IO.File.Exists(File(RunState.File)) ? RecordFile.Read<RunState>(File(RunState.File)) : null;
        }
        catch (InputException)
        {
            return null;
        }
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The file of all measured figures, one JSON object a line.</summary>
    public string Metrics => File(MetricsFile);

    /// <summary>The file of sampled answers, one JSON object a line.</summary>
    public string Samples => File("samples.jsonl");

    /// <summary>A file or folder in it.</summary>
    /// <param name="name">Its name.</param>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>A stage's folder.</summary>
    /// <param name="index">The visit's number, from 0.</param>
    /// <param name="name">The visit's name.</param>
    public string Stage(int index, string name) => System.IO.Path.Combine(Path, "stages", $"{index + 1:D2}-{name}");

    /// <summary>Opens the folder for a recipe.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="recipe">The recipe, resolved.</param>
    /// <param name="fresh">Whether to start again: the existing run is renamed to <c>.previous</c>, or <c>.previous-2</c> and so
    /// on.</param>
    /// <exception cref="InputException">Another process uses it, it belongs to another recipe, or it is not a run folder.</exception>
    public static RunFolder Open(string path, string recipe, bool fresh)
    {
        var full = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path));
        try
        {
            // Only a run folder is written to or renamed.
            if (Directory.Exists(full) && !System.IO.File.Exists(System.IO.Path.Combine(full, "recipe.yaml"))
                && Directory.EnumerateFileSystemEntries(full).Any(entry => !IsBeginning(System.IO.Path.GetFileName(entry))))
                throw new InputException($"{path} holds other files than a run's. Give an empty or new folder with --run-dir.");
            if (fresh && Directory.Exists(full)) SetAside(full);
            Directory.CreateDirectory(full);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"The run folder {path} cannot be made: {e.Message} Give another with --run-dir.", e);
        }
        var folder = new RunFolder(full, Guard(full));
        try
        {
            // Files that a killed process left incomplete; no other process uses the folder now.
            AtomicFile.Sweep(full);
            foreach (var stage in Directory.Exists(folder.File("stages")) ? Directory.GetDirectories(folder.File("stages")) : [])
            {
                AtomicFile.Sweep(stage);
                foreach (var inner in new[] { "rollouts", "prepared" }) AtomicFile.Sweep(System.IO.Path.Combine(stage, inner));
            }
            folder.TakeRecipe(path, recipe);
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>The settings that changed since the run was here last; none where it begins.</summary>
    public IReadOnlyList<RecipeDifference> Changes { get; private set; } = [];

    /// <summary>Writes the recipe down, once it is known that the run can go on with it.</summary>
    /// <param name="recipe">The recipe, resolved.</param>
    public void Keep(string recipe)
    {
        if (Changes.Count > 0) AtomicFile.WriteText(File("recipe.yaml"), recipe);
    }

    /// <summary>Writes down how far the run is.</summary>
    /// <param name="phase">The phase.</param>
    /// <param name="stage">The visit of a stage; null where it is at none.</param>
    /// <param name="message">Why it failed or where it stopped.</param>
    public void Tell(RunPhase phase, string? stage = null, string? message = null)
    {
        state = state with { Phase = phase, Updated = TimeProvider.System.GetUtcNow(), Stage = stage, Message = message };
        RecordFile.Write(File(RunState.File), state);
    }

    private void TakeRecipe(string path, string recipe)
    {
        var file = File("recipe.yaml");
        if (!System.IO.File.Exists(file))
        {
            AtomicFile.WriteText(file, recipe);
            return;
        }
        var before = System.IO.File.ReadAllText(file);
        if (before == recipe) return;
        Changes = RecipeDifference.Of(before, recipe);
        var stages = RecipeDifference.StagesOf(before);
        var same = RecipeDifference.StagesOf(recipe).Take(stages.Count).SequenceEqual(stages);
        var other = Changes.Where(change => !IsFree(change.Keys, stages, recipe)).ToList();
        if (same && other.Count == 0) return;
        throw new InputException($"{path} belongs to another recipe or other settings (see {file}): "
            + $"{(other.Count == 0 ? "other stages" : string.Join("; ", other.Take(5).Select(change => change.Told())))}. "
            + "Steps, epochs, evaluate, checkpoint and merge may change, and stages may be added at the end. Give another folder with "
            + "--run-dir, or start again with --fresh, which renames this one.");
    }

    private static bool IsFree(IReadOnlyList<string> keys, IReadOnlyList<string> stages, string recipe) => keys switch
    {
        ["description"] or ["log", ..] => true,
        // Stages that are new come after those that were there.
        ["stages", var name, ..] when !stages.Contains(name) => true,
        // What these train depends on how many steps there are in all.
        ["stages", var name, "steps" or "epochs"] => (RecipeDifference.Setting(recipe, "stages", name, "prompt") is null
                || RecipeDifference.Setting(recipe, "stages", name, "kind") != "align")
            && RecipeDifference.Setting(recipe, "stages", name, "method", "form") != "adalora",
        ["stages", _, var setting, ..] when free.Contains(setting) => true,
        ["stages", _, "method", "merge"] or ["stages", _, "method", "train", "merge"] => true,
        ["stages", _, "batch", var setting] => freeOfBatch.Contains(setting),
        _ => false,
    };

    // The files of a process that was killed before it wrote the recipe.
    private static bool IsBeginning(string name) =>
        name == "run.lock" || name.StartsWith("recipe.yaml.", StringComparison.Ordinal) && name.EndsWith(".tmp", StringComparison.Ordinal);

    // The file is open and locked while the process runs; the system releases it when the process ends for any reason.
    private static FileStream Guard(string full)
    {
        try
        {
            return new FileStream(System.IO.Path.Combine(full, "run.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new InputException($"The run folder {full} cannot be written: {e.Message} Give another with --run-dir.", e);
        }
        catch (IOException e) when (!IsShared(e))
        {
            throw new InputException(
                $"The run folder {full} cannot be written: {e.Message} Free some space, or give another folder with --run-dir.",
                e);
        }
        catch (IOException e)
        {
            throw new InputException(
                $"Another process uses {full}. Wait until it ends, or give another folder with --run-dir.",
                e);
        }
    }

    // The errors for a file that another process holds: a sharing violation on Windows, a refused lock (EAGAIN, with its number on Linux or
    // macOS) elsewhere.
    private static bool IsShared(IOException e) => (e.HResult & 0xFFFF) is 32 or 33 or 11 or 35;

    private static void SetAside(string full)
    {
        using (Guard(full))
        {
        }
        var previous = full + ".previous";
        for (var number = 2; Directory.Exists(previous); number++) previous = $"{full}.previous-{number}";
        Directory.Move(full, previous);
    }

    /// <summary>Adds a line to a file of records.</summary>
    /// <param name="file">The file.</param>
    /// <param name="record">The record.</param>
    public static void Append(string file, object record)
    {
        try
        {
            System.IO.File.AppendAllText(file, JsonSerializer.Serialize(record, JsonLayout.RecordLine) + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RunFailedException($"{file} cannot be written: {e.Message}", e);
        }
    }

    /// <summary>
    /// Removes a stage's records after a step, and those of its finished model, so that a resumed run has the same records as an
    /// uninterrupted one.
    /// </summary>
    /// <param name="file">The file.</param>
    /// <param name="stage">The stage.</param>
    /// <param name="step">The last step that counts.</param>
    /// <param name="measured">Whether what was measured after that step counts, too.</param>
    public static void Rewind(string file, string stage, int step, bool measured = true)
    {
        if (!System.IO.File.Exists(file)) return;
        var kept = System.IO.File.ReadLines(file).Where(line => Counts(line, stage, step, measured)).ToList();
        AtomicFile.WriteText(file, string.Concat(kept.Select(line => line + "\n")));
    }

    private static bool Counts(string line, string stage, int step, bool measured)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            var root = document.RootElement;
            if (root.GetProperty("stage").GetString() != stage) return true;
            var at = root.GetProperty("step").GetInt32();
            return at <= step && !IsOfFinished(root) && (measured || at < step || IsOfStep(root));
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // The incomplete line of a killed process.
            return false;
        }
    }

    // A figure of the step itself.
    private static bool IsOfStep(JsonElement record) => record.TryGetProperty("name", out var name)
        && (name.GetString() == "loss" || name.GetString()!.StartsWith("train ", StringComparison.Ordinal)
            || name.GetString()!.StartsWith("rollout ", StringComparison.Ordinal));

    private static bool IsOfFinished(JsonElement record) =>
        (record.TryGetProperty("finished", out var finished) && finished.GetBoolean())
            || (record.TryGetProperty("name", out var name) && name.GetString()!.StartsWith("after ", StringComparison.Ordinal));

    /// <summary>Releases the folder for another process.</summary>
    public void Dispose() => guard.Dispose();
}
