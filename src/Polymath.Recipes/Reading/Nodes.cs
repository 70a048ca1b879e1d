namespace Polymath.Recipes;

/// <summary>Where a piece of a recipe was written.</summary>
/// <param name="Source">The file's name, or the override.</param>
/// <param name="Line">The line, from 1; 0 for an override.</param>
/// <param name="Column">The column, from 1; 0 for an override.</param>
internal sealed record Place(string Source, int Line, int Column);

/// <summary>A piece of a recipe before its settings are read.</summary>
internal abstract class Node(Place place)
{
    /// <summary>Where the piece begins.</summary>
    public Place Place { get; } = place;

    /// <summary>What the piece is, in words.</summary>
    public abstract string Describe();
}

/// <summary>A single value.</summary>
internal sealed class ScalarNode(Place place, string value, bool plain) : Node(place)
{
    /// <summary>The text, without quotes.</summary>
    public string Value { get; } = value;

    /// <summary>Whether it was written without quotes, so that it may be a number, true, false or null.</summary>
    public bool Plain { get; } = plain;

    /// <summary>Whether the value is null.</summary>
    public bool IsNull => Plain && Value is ("" or "null" or "~" or "Null" or "NULL");

    /// <inheritdoc/>
    public override string Describe()
    {
        if (IsNull)
            return "nothing";
        return Value.Length > 60 ? $"'{Value[..57]}...'" : $"'{Value}'";
    }
}

/// <summary>A list.</summary>
internal sealed class ListNode(Place place, IReadOnlyList<Node> items) : Node(place)
{
    /// <summary>The items.</summary>
    public IReadOnlyList<Node> Items { get; } = items;

    /// <inheritdoc/>
    public override string Describe() => $"a list of {Items.Count}";
}

/// <summary>One key of a mapping, with its value.</summary>
internal sealed record Entry(string Key, Place Place, Node Value);

/// <summary>A mapping of distinct keys, in the order of the file.</summary>
internal sealed class MappingNode(Place place, IReadOnlyList<Entry> entries) : Node(place)
{
    /// <summary>The entries.</summary>
    public IReadOnlyList<Entry> Entries { get; } = entries;

    /// <summary>The entry of a key; null when there is none.</summary>
    public Entry? Find(string key) => Entries.FirstOrDefault(entry => entry.Key == key);

    /// <summary>The text of a key that holds a single value; null when there is none.</summary>
    public string? Text(string key) => Find(key)?.Value is ScalarNode { IsNull: false } scalar ? scalar.Value : null;

    /// <summary>The same mapping without a key.</summary>
    public MappingNode Without(string key) => new(Place, [.. Entries.Where(entry => entry.Key != key)]);

    /// <summary>The same mapping with a key set: in its old place, or at the end.</summary>
    public MappingNode With(Entry added) => Find(added.Key) is null
        ? new(Place, [.. Entries, added])
        : new(Place, [.. Entries.Select(entry => entry.Key == added.Key ? added : entry)]);

    /// <inheritdoc/>
    public override string Describe() => Entries.Count == 0 ? "an empty mapping" : $"a mapping with the key '{Entries[0].Key}'";
}
