using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A row from its file. It records which columns were used; unused columns are not learned and are reported.</summary>
public sealed class SourceRow
{
    private const int Shown = 20, LongestShown = 60;

    private readonly HashSet<string> taken = new(StringComparer.Ordinal);
    private readonly List<string> missing = [];

    /// <summary>A row.</summary>
    /// <param name="values">Its values by column.</param>
    /// <param name="place">Its place.</param>
    /// <param name="rules">The recipe's rules for such rows; null for none.</param>
    /// <param name="report">Receives what is not learned; null when it is not needed.</param>
    public SourceRow(JsonObject values, RowPlace place, ReadingRules? rules = null, SourceReport? report = null)
    {
        ArgumentNullException.ThrowIfNull(values);
        (Place, Rules, Report) = (place, rules ?? new ReadingRules(), report ?? new SourceReport());
        Values = Renamed(values);
        taken.UnionWith(Values.Select(pair => pair.Key).Where(Rules.Ignores));
    }

    /// <summary>The values by column, under the names that shapes know.</summary>
    internal JsonObject Values { get; }

    /// <summary>The row's place.</summary>
    internal RowPlace Place { get; }

    /// <summary>The recipe's rules.</summary>
    internal ReadingRules Rules { get; }

    /// <summary>Receives what is not learned.</summary>
    internal SourceReport Report { get; }

    /// <summary>The unused columns with a value.</summary>
    internal IEnumerable<string> Left => Values.Where(pair => !taken.Contains(pair.Key) && !IsBlank(pair.Value)).Select(pair => pair.Key);

    /// <summary>The columns in <c>fields</c> that the row lacks, as a sentence; empty for none.</summary>
    internal string Missing =>
        missing.Count == 0 ? "" : $" It lacks {string.Join(", ", missing.Select(path => $"'{path}'"))}, which 'fields' names.";

    /// <summary>The row's columns, as messages list them.</summary>
    internal string Columns => Values.Count == 0 ? "no fields" : string.Join(", ", Values.Select(pair => pair.Key).Take(Shown));

    /// <summary>
    /// The first of some columns that has a value in the row, else the first that exists; null for none. Ignored columns do not count.
    /// </summary>
    /// <param name="names">The columns, in the order of preference.</param>
    internal string? Find(IReadOnlyList<string> names)
    {
        var there = names.Where(name => Values.ContainsKey(name) && !Rules.Ignores(name)).ToList();
        // The recipe's rules win over guesses.
        if (Rules.Fields is { Count: > 0 } said && there.Find(said.ContainsKey) is { } named)
            return named;
        return there.Find(name => Values[name] is not null) ?? there.FirstOrDefault();
    }

    /// <summary>A column's value, which is marked as used; null when it has none or is ignored.</summary>
    /// <param name="name">The column.</param>
    internal JsonNode? Take(string name)
    {
        if (Rules.Ignores(name))
            return null;
        taken.Add(name);
        return Values[name];
    }

    /// <summary>A column's value as text; empty when there is none.</summary>
    /// <param name="name">The column; null for none.</param>
    /// <exception cref="InputException">It is a list or an object.</exception>
    internal string TakeText(string? name) => name is null ? "" : TextOf(Take(name), name);

    /// <summary>The file's own name of a column, which filters and messages use: <c>fields</c> may read it under another.</summary>
    /// <param name="name">The name under which the shape knows it.</param>
    internal string Said(string name) => Rules.Fields?.GetValueOrDefault(name)?.Path ?? name;

    /// <summary>A value as text; empty for null.</summary>
    /// <param name="value">The value.</param>
    /// <param name="what">Its name in messages: its column, or a part of it.</param>
    /// <exception cref="InputException">It is a list or an object.</exception>
    internal string TextOf(JsonNode? value, string what) => value switch
    {
        null => "",
        JsonValue plain when plain.GetValueKind() == JsonValueKind.String => plain.GetValue<string>(),
        JsonValue plain => plain.ToJsonString(),
        JsonArray => throw Fault($"'{what}' is a list, but a text is needed: {Short(value)}. {OwnField}"),
        _ => throw Fault($"'{what}' is an object, but a text is needed: {Short(value)}. {OwnField}"),
    };

    /// <summary>A fault of this row.</summary>
    /// <param name="problem">What is wrong and what to do, as whole sentences.</param>
    internal InputException Fault(string problem) => new($"{Place}: {problem}");

    /// <summary>Whether a value is empty: null, an empty text, list or object.</summary>
    /// <param name="value">The value.</param>
    internal static bool IsBlank(JsonNode? value) => value switch
    {
        null => true,
        JsonArray list => list.Count == 0,
        JsonObject members => members.Count == 0,
        JsonValue plain => plain.GetValueKind() switch
        {
            JsonValueKind.String => string.IsNullOrWhiteSpace(plain.GetValue<string>()),
            var kind => kind == JsonValueKind.Null,
        },
        _ => false,
    };

    /// <summary>A value shortened for messages.</summary>
    /// <param name="value">The value.</param>
    internal static string Short(JsonNode? value)
    {
        var text = value?.ToJsonString(JsonLayout.Line) ?? "null";
        return text.Length <= LongestShown ? text : text[..LongestShown] + "...";
    }

    private static string OwnField => "Correct the row, or name the column that holds the text under 'fields'.";

    private JsonObject Renamed(JsonObject values)
    {
        if (Rules.Fields is not { Count: > 0 } fields)
            return values;
        var renamed = new JsonObject();
        var moved = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, spec) in fields.Where(field => !field.Key.Contains('.', StringComparison.Ordinal)))
        {
            var value = JsonValues.Find(values, spec.Path);
            if (value is null && !JsonValues.Has(values, spec.Path))
            {
                missing.Add(spec.Path);
                continue;
            }
            var asked = spec.Join is null ? value : JsonValue.Create(JsonValues.Text(value, spec.Join));
            renamed[name] = spec.Match is null || asked is null
                ? asked?.DeepClone()
                : JsonValue.Create(FieldPattern.Part(TextOf(asked, spec.Path), spec.Match));
            moved.Add(spec.Path.Split('.')[0]);
        }
        TellOthers(values, moved, [.. fields.Values.Select(field => field.Path)]);
        foreach (var (name, value) in values)
        {
            // When 'fields' gives a name to another column, the file's own column of that name is not used.
            if (fields.ContainsKey(name) && !moved.Contains(name))
                Report.Count($"column '{name}' is not used: 'fields' names another for it", Place.ToString());
            else if (!moved.Contains(name) && !renamed.ContainsKey(name))
                renamed[name] = value?.DeepClone();
        }
        return renamed;
    }

    // What stands beside the members that 'fields' names in an object.
    private void TellOthers(JsonObject values, HashSet<string> columns, List<string> paths)
    {
        foreach (var column in columns.Where(column => !paths.Contains(column)))
        {
            foreach (var (member, value) in values[column] as JsonObject ?? [])
            {
                var path = $"{column}.{member}";
                if (IsBlank(value) || Rules.Ignores(member)
                    || paths.Exists(named => named == path || named.StartsWith(path + ".", StringComparison.Ordinal)))
                    continue;
                if (ShapeKeys.IsMedia(member))
                    throw Fault($"'{path}' holds {Short(value)}, and a language model does not read it. Leave such rows out with where, or "
                        + $"read the rows without it: ignore: [{member}] (--ignore {member}).");
                Report.Count($"column '{path}' is not used", Place.ToString());
            }
        }
    }
}
