using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>The four kinds of characters that the splitting patterns of byte-level tokenizers distinguish.</summary>
internal enum CharacterKind : byte
{
    /// <summary>Neither a letter, nor a number, nor white space.</summary>
    Other,

    /// <summary>A letter: <c>\p{L}</c>.</summary>
    Letter,

    /// <summary>A number: <c>\p{N}</c>.</summary>
    Number,

    /// <summary>White space: <c>\s</c>.</summary>
    Space,
}

/// <summary>Looks up the kind of a character; a table for the first 65,536, the Unicode data for the rest.</summary>
internal static class CharacterKinds
{
    private static readonly CharacterKind[] Table = MakeTable();

    /// <summary>The kind of the character that starts at a position.</summary>
    /// <param name="text">The text.</param>
    /// <param name="index">Where the character starts.</param>
    /// <param name="width">How many UTF-16 units it takes.</param>
    public static CharacterKind At(ReadOnlySpan<char> text, int index, out int width)
    {
        var unit = text[index];
        if (char.IsHighSurrogate(unit) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            width = 2;
            return KindOf(CharUnicodeInfo.GetUnicodeCategory(char.ConvertToUtf32(unit, text[index + 1])));
        }

        width = 1;
        return Table[unit];
    }

    /// <summary>Whether a character belongs to a word: <c>\w</c>.</summary>
    public static bool IsWord(Rune rune) => CharacterSets.Word.Contains(rune.Value);

    private static CharacterKind KindOf(UnicodeCategory category) => category switch
    {
        <= UnicodeCategory.OtherLetter => CharacterKind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterKind.Number,
        _ => CharacterKind.Other,
    };

    private static CharacterKind[] MakeTable()
    {
        var table = new CharacterKind[char.MaxValue + 1];
        for (var unit = 0; unit <= char.MaxValue; unit++)
            table[unit] = char.IsWhiteSpace((char)unit) ? CharacterKind.Space : KindOf(char.GetUnicodeCategory((char)unit));
        return table;
    }
}
