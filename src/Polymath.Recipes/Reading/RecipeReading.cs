namespace Polymath.Recipes;

/// <summary>The result of reading a recipe: the recipe, or all its faults.</summary>
/// <param name="Recipe">The recipe; null when there are faults.</param>
/// <param name="Faults">Every fault, in the order of the file.</param>
/// <param name="File">The file's name, as it was given.</param>
/// <param name="BaseFolder">The folder that paths in the recipe are relative to.</param>
/// <param name="Resolved"> The recipe after the small block and the overrides, as canonical YAML: settings that equal their defaults are
/// left out, paths stay as they were written. Recipes that differ only in comments, layout or the order of settings have the same text.
/// Empty when there are faults. </param>
public sealed record RecipeReading(
    Recipe? Recipe,
    IReadOnlyList<Fault> Faults,
    string File,
    string BaseFolder,
    string Resolved)
{
    /// <summary>The recipe.</summary>
    /// <exception cref="InputException">The recipe has faults; the message holds all of them, one a line.</exception>
    public Recipe OrThrow()
    {
        if (Recipe is not null)
            return Recipe;
        var lines = Faults.Select(fault => "  " + fault.ToString().ReplaceLineEndings(" "));
        var count = Faults.Count == 1 ? "1 fault" : $"{Faults.Count} faults";
        throw new InputException(string.Join('\n', [$"{count} in {File}:", .. lines, "Put these right and run the same command again."]));
    }
}
