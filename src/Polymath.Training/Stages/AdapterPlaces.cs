using Polymath.Recipes;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>Where the adapters lie that a stage starts from.</summary>
/// <param name="BaseFolder">What the recipe's paths are relative to.</param>
/// <param name="OfStage">The adapter's folder of an earlier stage.</param>
/// <param name="Combined">Where a combined adapter is kept.</param>
public sealed record AdapterPlaces(string BaseFolder, Func<string, string> OfStage, string Combined)
{
    /// <summary>The folder of an adapter that was trained before.</summary>
    /// <param name="name">The adapter's name; among several of a stage, the one so named.</param>
    /// <param name="spec">Where it is said to lie.</param>
    /// <exception cref="InputException">It is not there.</exception>
    public string Of(string name, AdapterSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var folder = spec.Stage is { } stage ? OfStage(stage) : Path.GetFullPath(spec.Folder!, Path.GetFullPath(BaseFolder));
        if (File.Exists(Path.Combine(folder, AttachedAdapters.IndexFile))) folder = Path.Combine(folder, name);
        return Directory.Exists(folder) ? folder : throw new InputException($"method.adapters.{name}: there is no adapter in {folder}. Name the folder that holds its adapter_config.json; of a stage with several, give the adapter the name that it has there.");
    }
}
