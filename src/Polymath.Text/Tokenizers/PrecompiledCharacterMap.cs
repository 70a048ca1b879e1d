using System.Buffers.Binary;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// SentencePiece's table of replacements: a double-array trie (Aoe 1989, as Darts writes it) over the bytes of the replaced texts, with
/// places in a list of replacements that each end with a zero byte.
/// </summary>
internal sealed class PrecompiledCharacterMap
{
    private readonly uint[] units;
    private readonly byte[] replacements;
    private readonly System.Collections.Concurrent.ConcurrentDictionary<int, string> texts = [];
    private readonly string?[] ascii = new string?[128];

    /// <summary>Reads a table.</summary>
    /// <param name="blob">Four bytes with the trie's length, the trie, the replacements.</param>
    /// <param name="fault">Makes the fault for a table that is damaged.</param>
    public PrecompiledCharacterMap(ReadOnlySpan<byte> blob, Func<string, InputException> fault)
    {
        if (blob.Length < 4
            || (BinaryPrimitives.ReadUInt32LittleEndian(blob) is var length && (length > blob.Length - 4 || length % 4 != 0)))
            throw fault("the table of replacements is cut off");
        var size = (int)BinaryPrimitives.ReadUInt32LittleEndian(blob);
        units = new uint[size / 4];
        for (var i = 0; i < units.Length; i++)
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[(4 + 4 * i)..]);
        replacements = blob[(4 + size)..].ToArray();
        for (var value = 1; value < 128; value++)
            ascii[value] = Shortest([(byte)value]) is (> 0, var text) ? text : null;
    }

    /// <summary>The replacement of a single ASCII character; null when it is not replaced.</summary>
    public string? OfAscii(char unit) => ascii[unit];

    /// <summary>The longest entry at the start of some bytes.</summary>
    /// <returns>Its length in bytes, 0 when there is none, and its replacement.</returns>
    public (int Length, string Text) Longest(ReadOnlySpan<byte> bytes) => Search(bytes, false);

    /// <summary>The shortest entry at the start of some bytes.</summary>
    public (int Length, string Text) Shortest(ReadOnlySpan<byte> bytes) => Search(bytes, true);

    private (int Length, string Text) Search(ReadOnlySpan<byte> bytes, bool first)
    {
        var (length, text) = (0, "");
        if (units.Length == 0)
            return (length, text);
        var position = Offset(units[0]);
        for (var i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] == 0)
                break;
            position ^= bytes[i];
            if (position >= (uint)units.Length || (units[position] & ((1U << 31) | 0xFF)) != bytes[i])
                break;
            var unit = units[position];
            position ^= Offset(unit);
            if ((unit >> 8 & 1) == 0)
                continue;
            if (position >= (uint)units.Length)
                break;
            (length, text) = (i + 1, TextAt((int)(units[position] & 0x7FFFFFFF)));
            if (first)
                break;
        }

        return (length, text);
    }

    private string TextAt(int place)
    {
        if (place >= replacements.Length)
            return "";
        return texts.GetOrAdd(place, static (at, all) =>
        {
            var end = Array.IndexOf(all, (byte)0, at);
            return Encoding.UTF8.GetString(all.AsSpan(at, (end < 0 ? all.Length : end) - at));
        }, replacements);
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & (1U << 9)) >> 6);
}
