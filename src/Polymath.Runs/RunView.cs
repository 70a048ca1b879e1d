using System.Text.Json;
using Polymath.Recipes;
using Polymath.Runs.Reports;

namespace Polymath.Runs;

/// <summary>A run from outside: what its folder says, whether or not a process works in it. Nothing is locked or written.</summary>
public sealed class RunView
{
    private RunView(string folder, string recipe)
    {
        (Folder, Recipe) = (folder, recipe);
        Stages = RecipeDifference.StagesOf(recipe);
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The resolved recipe, as YAML.</summary>
    public string Recipe { get; }

    /// <summary>The recipe's name.</summary>
    public string Name => RecipeDifference.Setting(Recipe, "name") ?? "";

    /// <summary>The stages of the recipe, in order.</summary>
    public IReadOnlyList<string> Stages { get; }

    /// <summary>The state; null for a folder of which no process wrote one.</summary>
    public RunState? State { get; private init; }

    /// <summary>The figures, in the order in which they were measured.</summary>
    public IReadOnlyList<MetricLine> Metrics { get; private init; } = [];

    /// <summary>The finished visits of stages, in order, the measurement before the first one included.</summary>
    public IReadOnlyList<StageRecord> Done { get; private init; } = [];

    /// <summary>The rows of the visits that have begun, by visit.</summary>
    public IReadOnlyDictionary<string, RowCounts> Rows { get; private init; } = new Dictionary<string, RowCounts>();

    /// <summary>What each finished visit's model was made from, in order.</summary>
    public IReadOnlyList<StageLineage> Lineage { get; private init; } = [];

    /// <summary>How far the run is.</summary>
    public RunPhase Phase => State?.Now() ?? (File.Exists(Path.Combine(Folder, "report.json")) ? RunPhase.Finished : RunPhase.Stopped);

    /// <summary>The visits that have figures or are finished, in order.</summary>
    public IReadOnlyList<string> Visits =>
    [
        .. Done.Select(record => record.Report?.Name).OfType<string>()
            .Concat(Metrics.Where(line => line.Name == MetricLine.Loss).Select(line => line.Stage))
            .Distinct(),
    ];

    /// <summary>The last step's line of a visit, or of the visit that the run is at; null before the first step.</summary>
    /// <param name="visit">The visit.</param>
    public MetricLine? LastStep(string? visit = null) =>
        Metrics.LastOrDefault(line => line.Name == MetricLine.Loss && (visit is null || line.Stage == visit));

    /// <summary>Whether a folder is a run's.</summary>
    /// <param name="folder">The folder.</param>
    public static bool Is(string folder) => File.Exists(Path.Combine(folder, "recipe.yaml"))
        && (File.Exists(Path.Combine(folder, RunState.File)) || Directory.Exists(Path.Combine(folder, "stages")));

    /// <summary>Reads a run's folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InputException">It is no run's folder, or a file of it is damaged.</exception>
    public static RunView Open(string folder)
    {
        if (!Is(folder))
            throw new InputException($"{folder} is no run's folder: it has no recipe.yaml with a run.json or stages beside it. "
                + "`polymath runs` lists the runs below runs/; --dir names another folder.");
        var stages = Path.Combine(folder, "stages");
        var visits = Directory.Exists(stages) ? Directory.GetDirectories(stages).Order(StringComparer.Ordinal).ToList() : [];
        var state = Path.Combine(folder, RunState.File);
        return new RunView(Path.GetFullPath(folder), File.ReadAllText(Path.Combine(folder, "recipe.yaml")))
        {
            State = File.Exists(state) ? RecordFile.Read<RunState>(state) : null,
            Metrics = Lines(Path.Combine(folder, RunFolder.MetricsFile)),
            Done = [.. visits.Select(StageRecord.Read).OfType<StageRecord>()],
            Lineage = [.. visits.Select(StageLineage.Read).OfType<StageLineage>()],
            Rows = visits.Select(visit => (Visit: VisitOf(visit), File: Path.Combine(visit, RowCounts.File)))
                .Where(pair => File.Exists(pair.File))
                .ToDictionary(pair => pair.Visit, pair => RecordFile.Read<RowCounts>(pair.File)),
        };
    }

    // "02-finetune" is the visit finetune.
    private static string VisitOf(string folder)
    {
        var name = Path.GetFileName(folder);
        return name[(name.IndexOf('-', StringComparison.Ordinal) + 1)..];
    }

    /// <summary>The runs below a folder, itself included, the newest first; a run's own folder is not searched further.</summary>
    /// <param name="root">The folder.</param>
    /// <param name="depth">How many folders deep.</param>
    public static IReadOnlyList<string> Find(string root, int depth = 3)
    {
        if (!Directory.Exists(root))
            return [];
        if (Is(root))
            return [root];
        return depth == 0
            ? []
            : [.. Directory.GetDirectories(root)
                .SelectMany(folder => Find(folder, depth - 1))
                .OrderByDescending(Touched)
                .ThenBy(folder => folder, StringComparer.Ordinal)];
    }

    private static DateTime Touched(string folder) => new[] { RunFolder.MetricsFile, RunState.File, "recipe.yaml" }
        .Select(name => File.GetLastWriteTimeUtc(Path.Combine(folder, name)))
        .Max();

    /// <summary>The lines of a file of figures. An incomplete last line is left out: its process was killed, or writes it now.</summary>
    /// <param name="file">The file; one that is missing has no lines.</param>
    public static IReadOnlyList<MetricLine> Lines(string file)
    {
        if (!File.Exists(file))
            return [];
        var lines = new List<MetricLine>();
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            try
            {
                if (JsonSerializer.Deserialize<MetricLine>(line, JsonLayout.RecordLine) is { } figure)
                    lines.Add(figure);
            }
            catch (JsonException) when (reader.Peek() < 0)
            {
                break;
            }
            catch (JsonException e)
            {
                throw new InputException($"{file}: line {lines.Count + 1} is no figure: {e.Message}", e);
            }
        }
        return lines;
    }
}
