namespace Polymath.Recipes;

/// <summary>A setting that two recipes have otherwise.</summary>
/// <param name="Keys">The keys to the setting, such as <c>stages</c>, <c>teach</c>, <c>steps</c>; a stage is known by its name.</param>
/// <param name="Before">Its value in the first; null where it has none.</param>
/// <param name="After">Its value in the second; null where it has none.</param>
public sealed record RecipeDifference(IReadOnlyList<string> Keys, string? Before, string? After)
{
    // No key holds it.
    private const char Joint = '\n';

    /// <summary>The difference as a line.</summary>
    public string Told() => $"{string.Join('.', Keys)}: {Before ?? "(nothing)"} -> {After ?? "(nothing)"}";

    /// <summary>The settings that two resolved recipes have otherwise, in the order of the second.</summary>
    /// <param name="before">The first, as canonical YAML.</param>
    /// <param name="after">The second.</param>
    public static IReadOnlyList<RecipeDifference> Of(string before, string after)
    {
        var (first, second) = (Flat(before), Flat(after));
        return [.. second.Keys.Union(first.Keys)
            .Where(path => first.GetValueOrDefault(path) != second.GetValueOrDefault(path))
            .Select(path => new RecipeDifference(
                path.Split(Joint), first.GetValueOrDefault(path), second.GetValueOrDefault(path)))];
    }

    /// <summary>The names of a resolved recipe's stages, in order.</summary>
    /// <param name="recipe">The recipe, as canonical YAML.</param>
    public static IReadOnlyList<string> StagesOf(string recipe) =>
    [
        .. Flat(recipe).Keys
            .Select(path => path.Split(Joint))
            .Where(keys => keys is ["stages", _, ..])
            .Select(keys => keys[1])
            .Distinct(),
    ];

    /// <summary>A setting of a resolved recipe; null where it is left out.</summary>
    /// <param name="recipe">The recipe, as canonical YAML.</param>
    /// <param name="keys">The keys to it.</param>
    public static string? Setting(string recipe, params IReadOnlyList<string> keys) =>
        Flat(recipe).GetValueOrDefault(string.Join(Joint, keys));

    private static Dictionary<string, string> Flat(string text)
    {
        var flat = new Dictionary<string, string>(StringComparer.Ordinal);
        void Walk(Node node, string path)
        {
            string At(string key) => path.Length == 0 ? key : path + Joint + key;
            switch (node)
            {
                case MappingNode mapping:
                    foreach (var entry in mapping.Entries)
                        Walk(entry.Value, At(entry.Key));
                    break;
                case ListNode list:
                    // Stages are known by their names, whatever their place.
                    for (var i = 0; i < list.Items.Count; i++)
                        Walk(list.Items[i], At((list.Items[i] as MappingNode)?.Text("name") ?? $"{i}"));
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
}
