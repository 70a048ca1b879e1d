using System.Globalization;
using System.Text.Json.Nodes;
using Apache.Arrow;
using Apache.Arrow.Types;

namespace Polymath.Text;

/// <summary>Values of Arrow arrays as JSON.</summary>
internal static class ArrowValue
{
    /// <summary>A value.</summary>
    /// <param name="array">The array.</param>
    /// <param name="index">Its place.</param>
    /// <exception cref="NotSupportedException">Its type is not one that rows can have.</exception>
    public static JsonNode? Of(IArrowArray array, int index) => array.IsNull(index) ? null : array switch
    {
        StringArray texts => JsonValue.Create(texts.GetString(index)),
        LargeStringArray texts => JsonValue.Create(texts.GetString(index)),
        StringViewArray texts => JsonValue.Create(texts.GetString(index)),
        BooleanArray flags => JsonValue.Create(flags.GetValue(index)),
        DictionaryArray words => Of(words.Dictionary, (int)Whole(words.Indices, index)),
        StructArray members => Members(members, index),
        // A map is a list of pairs, so this case comes before lists.
        MapArray map => Map(map, index),
        ListArray list => List(list.Values, list.ValueOffsets[index], list.ValueOffsets[index + 1]),
        LargeListArray list => List(list.Values, (int)list.ValueOffsets[index], (int)list.ValueOffsets[index + 1]),
        FixedSizeListArray list => Fixed(list, index),
        _ => Plain(array, index),
    };

    private static JsonValue? Plain(IArrowArray array, int index) => array switch
    {
        HalfFloatArray numbers => TableValues.Real((float)numbers.GetValue(index)!.Value),
        FloatArray numbers => TableValues.Real(numbers.GetValue(index)!.Value),
        DoubleArray numbers => TableValues.Real(numbers.GetValue(index)!.Value),
        Decimal128Array numbers => JsonValue.Create(numbers.GetValue(index)),
        Decimal256Array numbers => JsonValue.Create(numbers.GetString(index)),
        UInt64Array numbers => JsonValue.Create(numbers.GetValue(index)),
        BinaryArray bytes => TableValues.Bytes(bytes.GetBytes(index)),
        LargeBinaryArray bytes => TableValues.Bytes(bytes.GetBytes(index)),
        BinaryViewArray bytes => TableValues.Bytes(bytes.GetBytes(index)),
        TimestampArray times => JsonValue.Create(times.GetTimestamp(index)!.Value.ToString("O", CultureInfo.InvariantCulture)),
        Date32Array days => Day(days.GetDateTime(index)),
        Date64Array days => Day(days.GetDateTime(index)),
        NullArray => null,
        _ => JsonValue.Create(Whole(array, index)),
    };

    private static long Whole(IArrowArray array, int index) => array switch
    {
        Int8Array numbers => numbers.GetValue(index)!.Value,
        Int16Array numbers => numbers.GetValue(index)!.Value,
        Int32Array numbers => numbers.GetValue(index)!.Value,
        Int64Array numbers => numbers.GetValue(index)!.Value,
        UInt8Array numbers => numbers.GetValue(index)!.Value,
        UInt16Array numbers => numbers.GetValue(index)!.Value,
        UInt32Array numbers => numbers.GetValue(index)!.Value,
        Time32Array times => times.GetValue(index)!.Value,
        Time64Array times => times.GetValue(index)!.Value,
        DurationArray times => times.GetValue(index)!.Value,
        _ => throw new NotSupportedException($"values of the type {array.Data.DataType.Name} cannot be read into rows"),
    };

    private static JsonValue? Day(DateTime? day) => JsonValue.Create(day?.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture));

    private static JsonObject Members(StructArray members, int index)
    {
        var whole = new JsonObject();
        foreach (var (place, field) in ((StructType)members.Data.DataType).Fields.Index())
            whole[field.Name] = Of(members.Fields[place], index);
        return whole;
    }

    private static JsonArray List(IArrowArray values, int start, int end)
    {
        var items = new JsonArray();
        for (var i = start; i < end; i++)
            items.Add(Of(values, i));
        return items;
    }

    private static JsonArray Fixed(FixedSizeListArray list, int index)
    {
        var size = ((FixedSizeListType)list.Data.DataType).ListSize;
        var start = (list.Offset + index) * size;
        return List(list.Values, start, start + size);
    }

    private static JsonObject Map(MapArray map, int index)
    {
        var whole = new JsonObject();
        for (var i = map.ValueOffsets[index]; i < map.ValueOffsets[index + 1]; i++)
            whole[Of(map.Keys, i)?.ToString() ?? ""] = Of(map.Values, i);
        return whole;
    }
}
