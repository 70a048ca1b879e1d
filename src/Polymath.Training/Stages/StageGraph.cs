using System.Globalization;
using Polymath.Recipes;
using Polymath.Runs;

namespace Polymath.Training.Stages;

/// <summary>Which model each visit of a run starts from, and which of them have reached what they must.</summary>
/// <param name="materials">The run's recipe and model.</param>
/// <param name="folder">The run's folder.</param>
/// <param name="observer">Is told of what was not reached.</param>
internal sealed class StageGraph(Materials materials, RunFolder folder, RunObserver observer)
{
    private const string Failed = "failed";

    private Recipe Recipe => materials.Recipe;

    /// <summary>A visit's folder.</summary>
    /// <param name="visit">The visit.</param>
    internal string PlaceOf(StageVisit visit) => folder.Stage(Recipe.Visits().ToList().IndexOf(visit), visit.Name);

    /// <summary>The visit whose model another starts from; null where it is the recipe's model or a folder. One whose gate sends the run
    /// back is passed over.</summary>
    /// <param name="visit">The visit.</param>
    internal StageVisit? ParentOf(StageVisit visit)
    {
        var parent = Recipe.ParentOf(visit);
        while (parent is { Stage.Else.Action: GateAction.Back } && Missed(parent).Count > 0) parent = Recipe.ParentOf(parent);
        return parent;
    }

    /// <summary>The folder of the model that a visit starts from; null for fresh weights.</summary>
    /// <param name="visit">The visit.</param>
    internal string? OriginOf(StageVisit visit)
    {
        if (Recipe.FolderOf(visit) is { } named) return Path.GetFullPath(named, Path.GetFullPath(materials.BaseFolder));
        return ParentOf(visit) is { } parent ? Path.Combine(PlaceOf(parent), "model") : materials.BaseModel;
    }

    /// <summary>The places of the adapters that a visit starts from.</summary>
    /// <param name="visit">The visit.</param>
    /// <param name="place">The visit's folder.</param>
    internal AdapterPlaces AdaptersFor(StageVisit visit, string place)
    {
        var visits = Recipe.Visits().ToList();
        string OfStage(string name)
        {
            var last = visits.FindLastIndex(visits.FindIndex(other => other.Name == visit.Name), earlier => earlier.Stage.Name == name);
            return Path.Combine(folder.Stage(last, visits[last].Name), "adapter");
        }
        var saves = Path.Combine(place, "checkpoints");
        return new AdapterPlaces(
            materials.BaseFolder,
            OfStage,
            Path.Combine(place, "prepared"),
            Directory.Exists(saves) && Directory.EnumerateDirectories(saves).Any());
    }

    /// <summary>Whether a visit's model was made from another visit's.</summary>
    /// <param name="visit">The visit.</param>
    /// <param name="ancestor">The other one.</param>
    internal bool ComesFrom(StageVisit visit, StageVisit ancestor) =>
        Recipe.ParentOf(visit) is { } parent && (parent == ancestor || ComesFrom(parent, ancestor));

    /// <summary>The visit as it is trained now: one that is repeated has another rate.</summary>
    /// <param name="visit">The visit.</param>
    internal StageVisit Trained(StageVisit visit)
    {
        var tries = Tries(visit);
        if (tries == 0 || visit.Stage.Else is not { } other) return visit;
        var optimizer = visit.Stage.Optimizer;
        return visit with
        {
            Stage = visit.Stage with { Optimizer = optimizer with { Rate = optimizer.Rate * Math.Pow(other.Rate, tries) } },
        };
    }

    /// <summary>Whether the run goes on after a finished visit; if not, the visit was put aside and is trained again.</summary>
    /// <param name="visit">The visit.</param>
    /// <exception cref="RunFailedException">The visit has not reached what it must, and the run ends.</exception>
    internal bool Passes(StageVisit visit)
    {
        var missed = Missed(visit);
        if (missed.Count == 0) return true;
        var said = $"{visit.Name} has not reached what it must: {string.Join("; ", missed)}";
        var other = visit.Stage.Else ?? new ElseSpec();
        if (other.Action == GateAction.Back)
        {
            observer.Note($"{said}. The stages after it go on from the model before it.");
            return true;
        }
        var tries = Tries(visit);
        if (other.Action == GateAction.Repeat && tries < other.Times)
        {
            var aside = Aside(visit, tries + 1);
            Directory.CreateDirectory(Path.GetDirectoryName(aside)!);
            Directory.Move(PlaceOf(visit), aside);
            observer.Note($"{said}. It is trained again with {(other.Rate).ToString(CultureInfo.InvariantCulture)} times the rate; what it "
                + $"was lies in {aside}.");
            return false;
        }
        throw new RunFailedException($"{said}{(tries > 0 ? $", after {tries + 1} tries" : "")}. Its model is kept in {PlaceOf(visit)}. "
            + "Change the stage and start again with --fresh, or change require and give the same command.");
    }

    private string Aside(StageVisit visit, int number) =>
        Path.Combine(folder.File(Failed), $"{Path.GetFileName(PlaceOf(visit))}-{number}");

    private int Tries(StageVisit visit)
    {
        var tries = 0;
        while (Directory.Exists(Aside(visit, tries + 1))) tries++;
        return tries;
    }

    private List<string> Missed(StageVisit visit)
    {
        if (visit.Stage.Require is not { Count: > 0 } required) return [];
        var after = StageRecord.Read(PlaceOf(visit))!.Abilities.Values;
        var parent = ParentOf(visit);
        var before = StageRecord.Read(parent is null ? folder.Stage(-1, "start") : PlaceOf(parent))?.Abilities.Values;
        var missed = new List<string>();
        foreach (var (name, text) in required)
        {
            double? found = Known(after, name), had = Known(before, name);
            if (GateBound.Parse(text)!.Holds(found, had)) continue;
            var now = found is { } value ? $"is {value:G4}" : "was not measured";
            missed.Add($"{name} {now}{(had is { } was ? $" ({was:G4} before)" : "")}, and must be {text}");
        }
        return missed;
    }

    private static double? Known(IReadOnlyDictionary<string, double>? values, string name) =>
        values is not null && values.TryGetValue(name, out var value) && !double.IsNaN(value) ? value : null;
}
