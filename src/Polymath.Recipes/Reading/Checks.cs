namespace Polymath.Recipes;

/// <summary>What every check needs: the recipe, where its settings were written, and a place for faults.</summary>
/// <remarks>
/// The recipe may be damaged: what could not be read is null or missing. A check reports nothing about settings it cannot rely on.
/// </remarks>
internal sealed class Checks(Recipe recipe, Binder binder, FaultList faults, string baseFolder)
{
    /// <summary>Whether a folder is there.</summary>
    /// <param name="path">Its path, relative to the recipe.</param>
    public bool HasFolder(string path) => Directory.Exists(Path.Combine(baseFolder, path));

    /// <summary>The recipe.</summary>
    public Recipe Recipe => recipe;

    /// <summary>The stages that could be read.</summary>
    public IReadOnlyList<StageSpec> Stages => recipe.Stages ?? [];

    /// <summary>The path of a record in the recipe.</summary>
    public string PathOf(object record) => binder.PathOf(record);

    /// <summary>Adds a fault at a setting.</summary>
    public void Fault(string path, string problem, string hint) => faults.Add(path, binder.PlaceOf(path), problem, hint);

    /// <summary>Whether all these settings can be relied on.</summary>
    public bool Sound(params IEnumerable<string> paths) => paths.All(faults.Sound);

    /// <summary>What a stage learns, one thing each, and where it stands in the recipe.</summary>
    public IEnumerable<(StageSpec Part, string Path)> PartsOf(StageSpec stage) => stage.Objective is MixSpec { Terms: { } terms }
        ? stage.Parts().Zip(terms, (part, term) => (part, PathOf(term)))
        : [(stage, PathOf(stage))];

    /// <summary>The stage with a name; null when there is none.</summary>
    public StageSpec? StageNamed(string? name) => Stages.FirstOrDefault(stage => stage.Name == name);
}
