using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Stable hashes of rows: they depend only on the values, not on the order of fields, rows or files, and not on the machine.
/// </summary>
public static class RowHash
{
    /// <summary>The key of a row: a hash of the names and values of all fields that are not empty, by name.</summary>
    public static string KeyOf(IReadOnlyDictionary<string, string> fields) => Convert.ToHexStringLower(AllOf(fields).AsSpan(0, 16));

    /// <summary>A hash of a source's rows, in order, and of the part that each belongs to.</summary>
    /// <param name="rows">The rows.</param>
    public static string Of(IEnumerable<Row> rows) =>
        Convert.ToHexStringLower(HashOf(rows.SelectMany(row => (string[])[row.Key, row.Split.ToString()])));

    /// <summary>The part a row belongs to.</summary>
    /// <param name="fields">The row.</param>
    /// <param name="split">The shares, and the fields that decide.</param>
    public static DataSplit SplitOf(IReadOnlyDictionary<string, string> fields, SplitSpec split)
    {
        var hash = split.By is null ? AllOf(fields) : HashOf(split.By.Select(name => fields.TryGetValue(name, out var value) ? value : ""));
        var number = (BinaryPrimitives.ReadUInt64BigEndian(hash) >> 11) * (1.0 / (1UL << 53));
        if (number < split.Test)
            return DataSplit.Test;
        return number < split.Test + split.Validation ? DataSplit.Validation : DataSplit.Train;
    }

    private static byte[] AllOf(IReadOnlyDictionary<string, string> fields)
        =>
        HashOf(fields.Where(field => field.Value.Length > 0).OrderBy(field => field.Key, StringComparer.Ordinal)
            .SelectMany(field => (string[])[field.Key, field.Value]));

    // Each text is hashed with its length before it, so that ("ab", "c") and ("a", "bc") differ.
    private static byte[] HashOf(IEnumerable<string> texts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[4];
        foreach (var text in texts)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
            hash.AppendData(length);
            hash.AppendData(bytes);
        }

        return hash.GetHashAndReset();
    }
}
