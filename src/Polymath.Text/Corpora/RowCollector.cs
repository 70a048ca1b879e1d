using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A row as it was read.</summary>
/// <param name="Fields">Its fields.</param>
/// <param name="Columns">The columns of its file that filters and splits name; the fields themselves when there is no shape.</param>
/// <param name="Place">Its place.</param>
/// <param name="NoTexts">Its fields whose value is no text: an object, or a list without <c>join</c>; null for none.</param>
internal sealed record CollectedRow(
    RowFields Fields,
    IReadOnlyDictionary<string, string> Columns,
    RowPlace Place,
    IReadOnlySet<string>? NoTexts = null);

/// <summary>Collects the rows of a source: converted from their shape to one form, or with the requested fields, or unchanged.</summary>
/// <param name="spec">The settings.</param>
/// <param name="filter">The filter that a row must pass before its shape is read.</param>
/// <param name="report">Receives what is not learned of the rows.</param>
internal sealed class RowCollector(FilesSpec spec, RowFilter filter, SourceReport report)
{
    private const int MostKeys = 1000;
    private static readonly FieldSpec Whole = new("");

    private readonly Dictionary<string, int> places = Places(spec);
    private readonly string[] named = Named(spec);
    private readonly ReadingRules rules = ReadingRules.Of(spec);
    private readonly HashSet<string> met = new(StringComparer.Ordinal), keys = new(StringComparer.Ordinal);
    private readonly FlagColumns flags = new();

    /// <summary>The rows so far.</summary>
    public List<CollectedRow> Rows { get; } = [];

    /// <summary>Receives what is not learned of the rows.</summary>
    public SourceReport Report => report;

    /// <summary>How a text file is cut into documents; null for lines.</summary>
    public string? Documents => spec.Documents;

    /// <summary>Whether a column of a file is needed. A shape needs all of them, and so does a source without fields.</summary>
    /// <param name="column">The column.</param>
    public bool Wants(string column)
    {
        keys.Add(column);
        return spec.Shape is not null || spec.Fields is null
            || spec.Fields.Values.Any(field => field.Path == column || field.Path.Split('.')[0] == column);
    }

    /// <summary>Whether rows have a field: a column of their files, or a field of their shape.</summary>
    /// <param name="name">The field.</param>
    public bool Knows(string name) => places.ContainsKey(name)
        || (spec.Shape is not null && (keys.Contains(name.Split('.')[0]) || spec.Fields?.ContainsKey(name) is true));

    /// <summary>Adds a row.</summary>
    /// <param name="place">Its place.</param>
    /// <param name="values">Its values by column.</param>
    /// <exception cref="InputException">It does not have the requested shape.</exception>
    public void Add(RowPlace place, JsonObject values)
    {
        try
        {
            if (keys.Count < MostKeys)
                keys.UnionWith(values.Select(pair => pair.Key));
            if (spec.Shape is { } shape)
                AddShaped(place, values, shape);
            else
                Rows.Add(Plain(place, values));
        }
        catch (InvalidOperationException fault) when (JsonValues.HasHalfPair(values))
        {
            throw new InputException(
                $"{place}: a text holds half a surrogate pair (\\uD800 to \\uDFFF alone). Write the character as it is.",
                fault);
        }
    }

    /// <summary>Refuses fields that no row has.</summary>
    /// <param name="name">The source's name.</param>
    /// <exception cref="InputException">A field is missing in every row.</exception>
    public void CheckFields(string name)
    {
        foreach (var (field, asked) in spec.Fields ?? new Dictionary<string, FieldSpec>())
        {
            // The keys of messages are searched in each message.
            if (Rows.Count == 0 || met.Contains(field) || (spec.Shape is not null && field.Contains('.', StringComparison.Ordinal)))
                continue;
            throw new InputException(
                $"data '{name}': no row has '{asked.Path}', which field '{field}' is read from. Found: "
                + $"{string.Join(", ", keys.Order(StringComparer.Ordinal))}. Correct the path under 'fields'.");
        }
    }

    private void AddShaped(RowPlace place, JsonObject values, DataShape shape)
    {
        // A column that this row lacks but others have is empty; fields of the shape are checked later.
        string? Column(string name)
        {
            var head = name.Split('.')[0];
            if (values.ContainsKey(head))
                return JsonValues.Text(JsonValues.Find(values, name)) ?? "";
            if (spec.Fields?.GetValueOrDefault(name) is { } asked)
                return JsonValues.Text(JsonValues.Find(values, asked.Path), asked.Join) ?? "";
            return keys.Contains(head) || ShapeKeys.AreRead(head) ? "" : null;
        }
        if (!filter.Passes(Column))
            return;
        foreach (var (field, asked) in spec.Fields ?? new Dictionary<string, FieldSpec>())
        {
            if (!met.Contains(field) && JsonValues.Find(values, asked.Path) is not null)
                met.Add(field);
        }
        var columns = named.Length == 0 ? null : named.Select(name => (Name: name, Value: Column(name)))
            .Where(pair => pair.Value is not null).ToDictionary(pair => pair.Name, pair => pair.Value!, StringComparer.Ordinal);
        var row = new SourceRow(values, place, rules, report);
        var read = RowShape.Read(row, shape);
        if (shape == DataShape.Auto)
            flags.Check(row, read[0].Shape);
        foreach (var shaped in read)
        {
            foreach (var key in shaped.Fields.Keys)
                places.TryAdd(key, places.Count);
            var texts = new string[places.Count];
            foreach (var (name, value) in shaped.Fields)
                texts[places[name]] = value;
            var fields = new RowFields(places, texts);
            Rows.Add(new CollectedRow(fields, columns is null ? fields : new LayeredFields(columns, fields), place));
        }
    }

    private CollectedRow Plain(RowPlace place, JsonObject values)
    {
        if (spec.Fields is null)
        {
            foreach (var (key, _) in values)
                places.TryAdd(key, places.Count);
        }
        var texts = new string[places.Count];
        HashSet<string>? noTexts = null;
        foreach (var (name, asked) in spec.Fields ?? values.Select(pair => KeyValuePair.Create(pair.Key, Whole)))
        {
            var value = spec.Fields is null ? values[name] : JsonValues.Find(values, asked.Path);
            var text = JsonValues.Text(value, asked.Join);
            if (text is not null)
                met.Add(name);
            if (value is JsonObject || (value is JsonArray && asked.Join is null))
                (noTexts ??= new(StringComparer.Ordinal)).Add(name);
            texts[places[name]] = text is null || asked.Match is null ? text ?? "" : FieldPattern.Part(text, asked.Match);
        }
        var fields = new RowFields(places, texts);
        return new CollectedRow(fields, fields, place, noTexts);
    }

    private static Dictionary<string, int> Places(FilesSpec spec)
    {
        var names = spec.Shape is null ? spec.Fields?.Keys ?? [] : [];
        return names.Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
    }

    private static string[] Named(FilesSpec spec)
    {
        var names = (spec.Where ?? []).Select(filter => filter.Field).Concat(spec.Split?.By ?? []);
        return spec.Shape is null ? [] : [.. names.Append(spec.Distinct).OfType<string>().Distinct(StringComparer.Ordinal)];
    }
}
