using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs;

namespace Polymath.Training.Evaluation;

/// <summary>What a finished stage has left.</summary>
/// <param name="Model">The folder of its model.</param>
/// <param name="Adapter">The folder of the adapter that it kept apart; null for none.</param>
public sealed record FinishedStage(string Model, string? Adapter)
{
    private const string ModelName = "model", AdapterName = "adapter";

    /// <summary>A stage by what it is called.</summary>
    /// <param name="named">A model's folder, a stage's, a run's, whose last stage is meant, or RUN/STAGE.</param>
    /// <exception cref="InputException">There is none.</exception>
    public static FinishedStage Named(string named)
    {
        ArgumentNullException.ThrowIfNull(named);
        var inner = Path.Combine(named, ModelName);
        if (Directory.Exists(inner)) return OfModel(TextModel.Locate(inner));
        var run = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(named));
        return Directory.Exists(named) || run is null or ""
            ? OfModel(TextModel.Locate(named))
            : OfModel(TextModel.Locate(run, Path.GetFileName(Path.TrimEndingDirectorySeparator(named))));
    }

    /// <summary>The stage of a model's folder: its record says whether its adapter is apart.</summary>
    /// <param name="model">The model's folder.</param>
    public static FinishedStage OfModel(string model)
    {
        var stage = Path.GetDirectoryName(Path.GetFullPath(model))!;
        var apart = Path.GetFileName(model) == ModelName && StageRecord.Read(stage)?.Report?.Unmerged == true;
        return In(stage, apart) with { Model = model };
    }

    /// <summary>A stage in its folder.</summary>
    /// <param name="stage">The stage's folder.</param>
    /// <param name="unmerged">Whether its adapter is kept apart.</param>
    public static FinishedStage In(string stage, bool unmerged) =>
        new(Path.Combine(stage, ModelName), unmerged ? Path.Combine(stage, AdapterName) : null);
}
