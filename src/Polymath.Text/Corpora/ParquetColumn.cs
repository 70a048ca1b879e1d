using System.Globalization;
using System.Text.Json.Nodes;
using Parquet;
using Parquet.Data;
using Parquet.Schema;

namespace Polymath.Text;

/// <summary>A leaf of a Parquet schema in one row group: its values with their levels (Melnik et al. 2010, Dremel).</summary>
/// <param name="field">The leaf.</param>
/// <param name="values">The existing values, in order.</param>
/// <param name="definitions">For each entry, how much of its path exists; null when the whole path always exists.</param>
/// <param name="repetitions">For each entry, the list that it continues, 0 for a new record; null when there are no lists.</param>
internal sealed class ParquetColumn(DataField field, JsonNode?[] values, int[]? definitions, int[]? repetitions)
{
    private readonly int[] starts = Starts(values.Length, definitions, repetitions);
    private readonly int[] places = Places(values.Length, definitions, field.MaxDefinitionLevel);

    /// <summary>Reads the leaves of a field.</summary>
    /// <param name="group">The row group.</param>
    /// <param name="field">The field.</param>
    /// <param name="rows">Receives types that cannot be read.</param>
    /// <returns>The leaves in the schema's order; null when one has a type that cannot be read.</returns>
    public static async Task<ParquetColumn[]?> ReadAsync(ParquetRowGroupReader group, Field field, RowCollector rows)
    {
        var leaves = new List<ParquetColumn>();
        foreach (var leaf in LeavesOf(field))
        {
            using var raw = await group.ReadRawColumnDataBaseAsync(leaf).ConfigureAwait(false);
            if (ValuesOf(raw) is not { } values)
            {
                rows.Report.Count(
                    $"column '{field.Name}' holds values of the type {leaf.ClrType.Name}, which cannot be read", (int)group.RowCount, null);
                return null;
            }
            int[]? definitions = leaf.MaxDefinitionLevel > 0 ? raw.DefinitionLevels.ToArray() : null;
            int[]? repetitions = leaf.MaxRepetitionLevel > 0 ? raw.RepetitionLevels.ToArray() : null;
            leaves.Add(new ParquetColumn(leaf, values, definitions, repetitions));
        }
        return [.. leaves];
    }

    /// <summary>The entries of a record.</summary>
    /// <param name="row">The record's number in the row group.</param>
    public ParquetSpan Record(int row) => new(this, starts[row], starts[row + 1]);

    /// <summary>How much of an entry's path exists.</summary>
    /// <param name="entry">The entry.</param>
    public int Definition(int entry) => definitions?[entry] ?? field.MaxDefinitionLevel;

    /// <summary>The list that an entry continues.</summary>
    /// <param name="entry">The entry.</param>
    public int Repetition(int entry) => repetitions?[entry] ?? 0;

    /// <summary>An entry's value; null when it has none.</summary>
    /// <param name="entry">The entry.</param>
    public JsonNode? Value(int entry) => places[entry] < 0 ? null : values[places[entry]]?.DeepClone();

    private static IEnumerable<DataField> LeavesOf(Field field) => field switch
    {
        DataField leaf => [leaf],
        StructField members => members.Fields.SelectMany(LeavesOf),
        ListField list => LeavesOf(list.Item),
        MapField map => [.. LeavesOf(map.Key), .. LeavesOf(map.Value)],
        _ => [],
    };

    private static int[] Starts(int count, int[]? definitions, int[]? repetitions)
    {
        var entries = definitions?.Length ?? repetitions?.Length ?? count;
        return [.. Enumerable.Range(0, entries).Where(entry => repetitions is null || repetitions[entry] == 0), entries];
    }

    private static int[] Places(int count, int[]? definitions, int whole)
    {
        if (definitions is null)
            return [.. Enumerable.Range(0, count)];
        var next = 0;
        return [.. definitions.Select(level => level == whole ? next++ : -1)];
    }

    private static JsonNode?[]? ValuesOf(RawColumnData raw) => raw switch
    {
        RawColumnData<ReadOnlyMemory<char>> texts => Each(texts, text => JsonValue.Create(text.ToString())),
        RawColumnData<ReadOnlyMemory<byte>> bytes => Each(bytes, value => TableValues.Bytes(value.Span)),
        RawColumnData<bool> flags => Each(flags, flag => JsonValue.Create(flag)),
        RawColumnData<sbyte> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<byte> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<short> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<ushort> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<int> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<uint> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<long> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<ulong> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<float> numbers => Each(numbers, TableValues.Real),
        RawColumnData<double> numbers => Each(numbers, TableValues.Real),
        RawColumnData<decimal> numbers => Each(numbers, number => JsonValue.Create(number)),
        RawColumnData<DateTime> times => Each(times, time => TableValues.Moment(time)),
        RawColumnData<DateOnly> days => Each(days, day => JsonValue.Create(day.ToString("O", CultureInfo.InvariantCulture))),
        RawColumnData<TimeSpan> spans => Each(spans, span => JsonValue.Create(span.ToString("c", CultureInfo.InvariantCulture))),
        RawColumnData<Guid> ids => Each(ids, id => JsonValue.Create(id.ToString())),
        _ => null,
    };

    private static JsonNode?[] Each<T>(RawColumnData<T> raw, Func<T, JsonNode?> node)
        where T : struct
    {
        var values = new JsonNode?[raw.Values.Length];
        for (var i = 0; i < values.Length; i++)
            values[i] = node(raw.Values[i]);
        return values;
    }
}

/// <summary>Entries of a leaf that belong together: those of a record, or of an item of a list in it.</summary>
/// <param name="Column">The leaf.</param>
/// <param name="Start">The first entry.</param>
/// <param name="End">The place after the last one.</param>
internal readonly record struct ParquetSpan(ParquetColumn Column, int Start, int End);
