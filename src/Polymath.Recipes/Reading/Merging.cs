namespace Polymath.Recipes;

/// <summary>
/// Merges the small block into a recipe: mappings are merged, single values and lists are replaced. A mapping on a list of named items is
/// merged into these items.
/// </summary>
internal sealed class Merging(FaultList faults)
{
    /// <summary>The recipe with the block merged into it.</summary>
    public Node Merge(Node below, Node above, string path) => (below, above) switch
    {
        // A model or tokenizer that is made takes the place of one that lies in a folder.
        (MappingNode old, MappingNode added) when path is "small.model" or "small.tokenizer" && IsFolder(old) && !IsFolder(added)
            && (added.Find("family") ?? added.Find("kind")) is not null => above,
        (MappingNode old, MappingNode added) =>
            added.Entries.Aggregate(old, (merged, entry) => merged.With(old.Find(entry.Key) is { } existing
                ? entry with { Value = Merge(existing.Value, entry.Value, $"{path}.{entry.Key}") }
                : entry)),
        (ListNode old, MappingNode added) when old.Items.Count > 0 && NamesIn(old).Count == old.Items.Count => Named(old, added, path),
        _ => above,
    };

    private static bool IsFolder(MappingNode node) => node.Find("folder") is not null;

    /// <summary>The index of the item with a name; -1 when there is none.</summary>
    public static int IndexOf(ListNode list, string name) =>
        list.Items.ToList().FindIndex(item => (item as MappingNode)?.Text("name") == name);

    /// <summary>The names of a list's items.</summary>
    public static IReadOnlyList<string> NamesIn(ListNode list) =>
        [.. list.Items.Select(item => (item as MappingNode)?.Text("name")).OfType<string>()];

    private ListNode Named(ListNode old, MappingNode added, string path)
    {
        var items = old.Items.ToArray();
        foreach (var entry in added.Entries)
        {
            var index = IndexOf(old, entry.Key);
            if (index < 0)
                faults.Add(
                    $"{path}.{entry.Key}",
                    entry.Place,
                    $"nothing here is named '{entry.Key}'",
                    Nearest.Hint(entry.Key, NamesIn(old), "names"));
            else if (entry.Value is not MappingNode)
            {
                faults.Add($"{path}.{entry.Key}", entry.Value.Place,
                    $"{entry.Value.Describe()} stands where a mapping of keys is expected",
                    "write {KEY: VALUE}");
            }
            else
                items[index] = Merge(items[index], entry.Value, $"{path}.{entry.Key}");
        }
        return new ListNode(old.Place, items);
    }
}
