using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Gathers the rows of a source: the fields that are asked for, or all there are.</summary>
/// <param name="fields">The fields that are asked for, by name; null for all.</param>
/// <param name="shape">The shape rows are brought from to one form; null to take them as they are.</param>
internal sealed class RowCollector(IReadOnlyDictionary<string, FieldSpec>? fields, DataShape? shape = null)
{
    private static readonly FieldSpec Whole = new("");
    private readonly Dictionary<string, int> places =
        fields?.Keys.Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal) ?? new(StringComparer.Ordinal);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private readonly Dictionary<string, Regex> patterns = new(StringComparer.Ordinal);
    private readonly HashSet<string> met = new(StringComparer.Ordinal), keys = new(StringComparer.Ordinal);

    /// <summary>The rows so far.</summary>
    public List<RowFields> Rows { get; } = [];

    /// <summary>Adds a row.</summary>
    /// <param name="keys">The names at the top of the row in its file.</param>
    /// <param name="find">Finds the value at a path (asked for by the spec, or a top-level name), or null where there is none.</param>
    public void Add(IReadOnlyCollection<string> keys, Func<string, FieldSpec, string?> find)
    {
        if (shape is not null)
        {
            AddShaped(
                new JsonObject(keys.Distinct().Select(key => KeyValuePair.Create(key, (JsonNode?)JsonValue.Create(find(key, Whole))))));
            return;
        }

        if (this.keys.Count < 1000)
            this.keys.UnionWith(keys);
        if (fields is null)
        {
            foreach (var key in keys)
                places.TryAdd(key, places.Count);
        }

        var values = new string[places.Count];
        foreach (var (name, spec) in fields ?? keys.Distinct().Select(key => KeyValuePair.Create(key, Whole)))
        {
            var value = find(fields is null ? name : spec.Path, spec);
            if (value is not null)
                met.Add(name);
            values[places[name]] = value is null ? "" : Part(value, spec);
        }

        Rows.Add(new RowFields(places, values));
    }

    private string Part(string value, FieldSpec spec)
    {
        if (spec.Match is not { } pattern)
            return value;
        if (!patterns.TryGetValue(pattern, out var expression))
            patterns[pattern] = expression = new Regex(pattern, RegexOptions.CultureInvariant, Patience);
        try
        {
            var match = expression.Match(value);
            if (!match.Success)
                return "";
            return match.Groups.Count > 1 ? match.Groups[1].Value : match.Value;
        }
        catch (RegexMatchTimeoutException)
        {
            throw new InputException($"The pattern '{pattern}' of a field takes longer than {Patience.TotalSeconds:F0} s on one value. "
                + "Write a simpler one: nested repetitions such as (a+)+ try every way to share a text out.");
        }
    }

    /// <summary>Whether rows are brought to one form.</summary>
    public bool Shapes => shape is not null;

    /// <summary>Adds a row in the one form of its shape.</summary>
    /// <param name="row">The row as it is written.</param>
    public void AddShaped(JsonObject row)
    {
        var found = RowShape.Read(row, shape!.Value);
        foreach (var key in found.Keys)
            places.TryAdd(key, places.Count);
        var values = new string[places.Count];
        foreach (var (name, value) in found)
            values[places[name]] = value;
        Rows.Add(new RowFields(places, values));
    }

    /// <summary>Refuses fields that no row has.</summary>
    /// <param name="name">The source's name.</param>
    /// <exception cref="InputException">A field is missing in every row.</exception>
    public void CheckFields(string name)
    {
        foreach (var (field, spec) in fields ?? new Dictionary<string, FieldSpec>())
        {
            if (Rows.Count > 0 && !met.Contains(field))
                throw new InputException($"data '{name}': no row has '{spec.Path}', which field '{field}' is read from. Found: "
                    + $"{string.Join(", ", keys.Order(StringComparer.Ordinal))}. Correct the path under 'fields'.");
        }
    }
}
