using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Polymath.Text;

/// <summary>The columns of a row's file together with the fields of its shape.</summary>
/// <param name="first">The fields that win when both have a name.</param>
/// <param name="second">The other fields.</param>
internal sealed class LayeredFields(IReadOnlyDictionary<string, string> first, IReadOnlyDictionary<string, string> second)
    : IReadOnlyDictionary<string, string>
{
    /// <inheritdoc/>
    public IEnumerable<string> Keys => first.Keys.Union(second.Keys, StringComparer.Ordinal);

    /// <inheritdoc/>
    public IEnumerable<string> Values => Keys.Select(key => this[key]);

    /// <inheritdoc/>
    public int Count => Keys.Count();

    /// <inheritdoc/>
    public string this[string key] => TryGetValue(key, out var value) ? value : throw new KeyNotFoundException($"no field '{key}'");

    /// <inheritdoc/>
    public bool ContainsKey(string key) => first.ContainsKey(key) || second.ContainsKey(key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out string value) =>
        first.TryGetValue(key, out value) || second.TryGetValue(key, out value);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() =>
        Keys.Select(key => KeyValuePair.Create(key, this[key])).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
