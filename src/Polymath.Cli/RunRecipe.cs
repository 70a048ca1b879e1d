using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Training;

namespace Polymath.Cli;

/// <summary>The recipe in a run's folder.</summary>
internal static class RunRecipe
{
    /// <summary>Reads it; its paths are relative to where the run was started.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="instead">What to do where there is none.</param>
    /// <exception cref="InputException">There is none, or the record beside it is damaged.</exception>
    internal static RecipeReading Of(string folder, string instead)
    {
        var file = Path.Combine(folder, "recipe.yaml");
        if (!File.Exists(file)) throw new InputException($"{folder} has no recipe.yaml. {instead}");
        var surroundings = Path.Combine(folder, Surroundings.File);
        string? basis;
        try
        {
            basis = File.Exists(surroundings) ? JsonNode.Parse(File.ReadAllText(surroundings))?["baseFolder"]?.ToString() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new InputException($"{surroundings} is damaged: {e.Message} Restore it. {instead}", e);
        }
        return RecipeReader.Parse(File.ReadAllText(file), file, basis ?? folder);
    }
}
