using System.Collections;
using System.Diagnostics.CodeAnalysis;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>One row of a source.</summary>
/// <param name="Key">A stable hash of the row's fields: 32 hexadecimal digits, always the same for the same row.</param>
/// <param name="Split">The part the row belongs to.</param>
/// <param name="Fields">The values by field name; a missing value is empty.</param>
/// <param name="Data">The name of its source, if needed.</param>
/// <param name="Place">Where it stands; null when it was not read from a file.</param>
public sealed record Row(
    string Key,
    DataSplit Split,
    IReadOnlyDictionary<string, string> Fields,
    string? Data = null,
    RowPlace? Place = null)
{
    /// <summary>The fields whose value is no text, but an object or a list; null for none.</summary>
    public IReadOnlySet<string>? NoTexts { get; init; }

    /// <summary>The row's name in messages: its file and line, or its key.</summary>
    public string Name => Place?.ToString() ?? $"row {Key}";
}

/// <summary>Reports the progress of work on a corpus.</summary>
/// <param name="activity">What is being done.</param>
/// <param name="done">How much is done, in bytes.</param>
/// <param name="total">How much there is to do, in bytes.</param>
public delegate void CorpusProgress(string activity, long done, long total);

/// <summary>The fields of a row. All rows of a source share the names, so that a row stores only its values.</summary>
/// <param name="names">The names with their places; they are shared, and complete only after the whole source is read.</param>
/// <param name="values">The values by place; places past the end are empty.</param>
internal sealed class RowFields(IReadOnlyDictionary<string, int> names, string[] values) : IReadOnlyDictionary<string, string>
{
    /// <inheritdoc/>
    public IEnumerable<string> Keys => names.Keys;

    /// <inheritdoc/>
    public IEnumerable<string> Values => names.Values.Select(At);

    /// <inheritdoc/>
    public int Count => names.Count;

    /// <inheritdoc/>
    public string this[string key] => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"no field '{key}'");

    /// <inheritdoc/>
    public bool ContainsKey(string key) => names.ContainsKey(key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out string value)
    {
        value = names.TryGetValue(key, out var place) ? At(place) : null;
        return value is not null;
    }

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() =>
        names.Select(name => KeyValuePair.Create(name.Key, At(name.Value))).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private string At(int place) => place < values.Length ? values[place] ?? "" : "";
}
