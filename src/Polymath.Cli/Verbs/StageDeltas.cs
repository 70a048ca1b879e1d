using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tuning;

namespace Polymath.Cli.Verbs;

/// <summary>A delta of a stage that can be attached to a model to show its properties.</summary>
/// <param name="Name">Its adapter's name, or its form.</param>
/// <param name="Note">A note about it; empty for none.</param>
/// <param name="Trains">Whether the stage trains it.</param>
/// <param name="Attach">Attaches it.</param>
internal sealed record ShownDelta(string Name, string Note, bool Trains, Func<LanguageModel, DeltaSet> Attach);

/// <summary>The deltas that a recipe's stage attaches, before anything is trained.</summary>
/// <param name="recipe">The recipe.</param>
/// <param name="baseFolder">The folder that its paths are relative to.</param>
internal sealed class StageDeltas(Recipe recipe, string baseFolder)
{
    /// <summary>The deltas of a stage, one by one.</summary>
    /// <param name="name">The stage's name.</param>
    /// <exception cref="InputException">There is no such stage, or it attaches no delta.</exception>
    internal IReadOnlyList<ShownDelta> Of(string name)
    {
        var stage = recipe.Stages.FirstOrDefault(stage => stage.Name == name)
            ?? throw new InputException($"--stage is '{name}', but the recipe {recipe.Name} has no such stage. "
                + $"{Nearest.Hint(name, [.. recipe.Stages.Select(stage => stage.Name)], "stages")}.");
        var method = stage.Method?.Plain();
        if (method is AdaptersMethod several) return [.. several.Adapters.Select(pair => One(pair.Key, pair.Value))];
        if (method is DeltaSpec delta)
            return [Fresh(Words.Of(delta.Form), "", delta, trains: true)];
        var others =
            recipe.Stages.Where(other => other.Method?.Plain() is DeltaSpec or AdaptersMethod).Select(other => other.Name).ToList();
        throw new InputException($"The stage {name} trains weights of the model itself (method: {method?.Kind ?? "full"}) and attaches no "
            + $"delta. {(others.Count == 0 ? "No stage of this recipe does." : $"Stages that do: {string.Join(", ", others)}.")}");
    }

    private ShownDelta One(string name, AdapterSpec spec)
    {
        if (spec.Delta is { } delta) return Fresh(name, spec.Frozen ? "frozen" : "", delta, !spec.Frozen);
        if (spec.Folder is { } folder)
            return new ShownDelta(
                name,
                $"of {folder}{(spec.Frozen ? ", frozen" : "")}",
                !spec.Frozen,
                model => DeltaSet.Load(model, Path.GetFullPath(folder, Path.GetFullPath(baseFolder))));
        // An adapter that an earlier stage will train; its size comes from that stage.
        var earlier = Of(spec.Stage!);
        var found = earlier.Count == 1 ? earlier[0] : earlier.FirstOrDefault(one => one.Name == name)
            ?? throw new InputException($"The stage {spec.Stage} has several adapters, "
                + $"{string.Join(", ", earlier.Select(one => one.Name))}, and none is called {name}. Give the adapter the name that it has "
                + "there.");
        return found with { Name = name, Note = $"of the stage {spec.Stage}{(spec.Frozen ? ", frozen" : "")}", Trains = !spec.Frozen };
    }

    // How big a prompt is does not depend on what its text says.
    private static ShownDelta Fresh(string name, string note, DeltaSpec delta, bool trains) =>
        new(name, note, trains, model => DeltaSet.Fresh(model, delta, 0, _ => [0]));
}
