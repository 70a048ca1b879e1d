namespace Polymath.Text;

/// <summary>
/// GPT-2's alphabet: a printable character for each of the 256 bytes, so that a byte-level vocabulary can be written as text (Radford et
/// al. 2019).
/// </summary>
internal static class ByteAlphabet
{
    private const int Size = 324;
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] Bytes = MakeBytes();

    /// <summary>The character that stands for a byte.</summary>
    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>The byte a character stands for, or -1.</summary>
    public static int ByteOf(char character) => character < Size ? Bytes[character] : -1;

    /// <summary>The bytes in the order of their characters, which is the order in which trainers number them.</summary>
    public static IEnumerable<byte> BytesInOrder() =>
        Enumerable.Range(0, 256).Select(value => (byte)value).OrderBy(value => Characters[value]);

    /// <summary>Writes bytes in the alphabet.</summary>
    public static string Write(ReadOnlySpan<byte> bytes)
    {
        Span<char> characters = bytes.Length <= 256 ? stackalloc char[bytes.Length] : new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
            characters[i] = Characters[bytes[i]];
        return new string(characters);
    }

    private static bool IsPrintable(int value) => value is >= '!' and <= '~' or >= 0xA1 and <= 0xAC or >= 0xAE and <= 0xFF;

    private static char[] MakeCharacters()
    {
        var characters = new char[256];
        var next = 256;
        for (var value = 0; value < 256; value++)
            characters[value] = (char)(IsPrintable(value) ? value : next++);
        return characters;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[Size];
        Array.Fill(bytes, (short)-1);
        for (var value = 0; value < 256; value++)
            bytes[Characters[value]] = (short)value;
        return bytes;
    }
}
