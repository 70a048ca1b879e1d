namespace Polymath.Recipes;

/// <summary>A setting that two recipes have otherwise.</summary>
/// <param name="Path">The setting, such as <c>stages.teach.steps</c>.</param>
/// <param name="Before">Its value in the first; null where it has none.</param>
/// <param name="After">Its value in the second; null where it has none.</param>
public sealed record RecipeDifference(string Path, string? Before, string? After)
{
    /// <summary>The difference as a line.</summary>
    public string Told() => $"{Path}: {Before ?? "(nothing)"} -> {After ?? "(nothing)"}";

    /// <summary>The settings that two resolved recipes have otherwise, in the order of the second.</summary>
    /// <param name="before">The first, as canonical YAML.</param>
    /// <param name="after">The second.</param>
    public static IReadOnlyList<RecipeDifference> Of(string before, string after)
    {
        var (first, second) = (Flat(before), Flat(after));
        return [.. second.Keys.Union(first.Keys)
            .Where(path => first.GetValueOrDefault(path) != second.GetValueOrDefault(path))
            .Select(path => new RecipeDifference(path, first.GetValueOrDefault(path), second.GetValueOrDefault(path)))];
    }

    /// <summary>The names of a resolved recipe's stages, in order.</summary>
    /// <param name="recipe">The recipe, as canonical YAML.</param>
    public static IReadOnlyList<string> StagesOf(string recipe) =>
        [.. Flat(recipe).Keys.Where(path => path.StartsWith("stages.", StringComparison.Ordinal)).Select(path => path.Split('.')[1])
            .Distinct()];

    private static Dictionary<string, string> Flat(string text)
    {
        var flat = new Dictionary<string, string>(StringComparer.Ordinal);
        void Walk(Node node, string path)
        {
            switch (node)
            {
                case MappingNode mapping:
                    foreach (var entry in mapping.Entries)
                        Walk(entry.Value, path.Length == 0 ? entry.Key : $"{path}.{entry.Key}");
                    break;
                case ListNode list:
                    // Stages are known by their names, whatever their place.
                    for (var i = 0; i < list.Items.Count; i++)
                        Walk(list.Items[i], $"{path}.{NameOf(list.Items[i]) ?? $"{i}"}");
                    break;
                case ScalarNode scalar:
                    flat[path] = scalar.Value;
                    break;
            }
        }
        if (new NodeParser("recipe.yaml", new FaultList()).Parse(text) is { } root)
            Walk(root, "");
        return flat;
    }

    private static string? NameOf(Node node) =>
        node is MappingNode mapping && mapping.Entries.FirstOrDefault(entry => entry.Key == "name")?.Value is ScalarNode name
            ? name.Value
            : null;
}
