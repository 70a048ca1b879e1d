using System.Text.Json.Nodes;
using Parquet.Schema;

namespace Polymath.Text;

/// <summary>Assembles the value of a Parquet field from its leaves (Melnik et al. 2010, Dremel).</summary>
internal static class ParquetValue
{
    /// <summary>A field's value in a record, or in an item of a list.</summary>
    /// <param name="field">The field.</param>
    /// <param name="leaves">The entries of its leaves, in the schema's order.</param>
    public static JsonNode? Of(Field field, ReadOnlySpan<ParquetSpan> leaves)
    {
        var first = leaves[0];
        var level = first.Column.Definition(first.Start);
        switch (field)
        {
            case DataField { IsArray: true } repeated:
                return level < repeated.MaxDefinitionLevel
                    ? new JsonArray()
                    : List(first, repeated.MaxRepetitionLevel, span => span.Column.Value(span.Start));
            case DataField:
                return first.Column.Value(first.Start);
            case StructField members:
                return members.IsNullable && level < members.MaxDefinitionLevel ? null : Members(members, leaves);
            case ListField list:
                return Several(list, leaves, level, item => Of(list.Item, item));
            case MapField map:
                var pairs = Several(
                    map, leaves, level, item => new JsonObject { ["key"] = Of(map.Key, item[..1]), ["value"] = Of(map.Value, item[1..]) });
                return pairs is null
                    ? null
                    : new JsonObject(pairs.Select(pair => KeyValuePair.Create(pair!["key"]?.ToString() ?? "", pair["value"]?.DeepClone())));
            default:
                return null;
        }
    }

    private static JsonObject Members(StructField members, ReadOnlySpan<ParquetSpan> leaves)
    {
        var whole = new JsonObject();
        var at = 0;
        foreach (var member in members.Fields)
        {
            var count = LeafCount(member);
            whole[member.Name] = Of(member, leaves.Slice(at, count));
            at += count;
        }
        return whole;
    }

    private delegate JsonNode? ItemOf(ReadOnlySpan<ParquetSpan> leaves);

    // The level just below that of an item means an empty list; a lower level means no list.
    private static JsonArray? Several(Field list, ReadOnlySpan<ParquetSpan> leaves, int level, ItemOf item)
    {
        if (level < list.MaxDefinitionLevel)
            return list.IsNullable && level < list.MaxDefinitionLevel - 1 ? null : [];
        var cuts = new List<(int Start, int End)>[leaves.Length];
        for (var i = 0; i < leaves.Length; i++)
            cuts[i] = Cuts(leaves[i], list.MaxRepetitionLevel);
        var items = new JsonArray();
        var part = new ParquetSpan[leaves.Length];
        for (var n = 0; n < cuts[0].Count; n++)
        {
            for (var i = 0; i < leaves.Length; i++)
                part[i] = new ParquetSpan(leaves[i].Column, cuts[i][n].Start, cuts[i][n].End);
            items.Add(item(part));
        }
        return items;
    }

    private static JsonArray List(ParquetSpan span, int level, Func<ParquetSpan, JsonNode?> item)
    {
        var items = new JsonArray();
        foreach (var (start, end) in Cuts(span, level))
            items.Add(item(new ParquetSpan(span.Column, start, end)));
        return items;
    }

    // A new item begins where the list continues; deeper lists continue within it.
    private static List<(int Start, int End)> Cuts(ParquetSpan span, int level)
    {
        var cuts = new List<(int, int)>();
        var from = span.Start;
        for (var entry = span.Start + 1; entry < span.End; entry++)
        {
            if (span.Column.Repetition(entry) > level)
                continue;
            cuts.Add((from, entry));
            from = entry;
        }
        cuts.Add((from, span.End));
        return cuts;
    }

    private static int LeafCount(Field field) => field switch
    {
        StructField members => members.Fields.Sum(LeafCount),
        ListField list => LeafCount(list.Item),
        MapField map => LeafCount(map.Key) + LeafCount(map.Value),
        _ => 1,
    };
}
