using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>A set of code points.</summary>
internal sealed class CodePointSet
{
    private readonly ulong[] bits = new ulong[0x110000 / 64];

    /// <summary>A set from ranges as <c>41-5A</c> or <c>41</c>.</summary>
    public CodePointSet(IEnumerable<string> ranges)
    {
        foreach (var (first, last) in ranges.Select(CharacterSets.Range))
        {
            for (var code = first; code <= last; code++)
                bits[code >> 6] |= 1UL << code;
        }
    }

    /// <summary>Whether a code point is in the set.</summary>
    public bool Contains(int code) => (bits[code >> 6] >> code & 1) != 0;

    /// <summary>The matches in a text, each one code point wide.</summary>
    public List<(int Start, int End)> Matches(ReadOnlySpan<char> text)
    {
        var matches = new List<(int, int)>();
        for (int i = 0, width; i < text.Length; i += width)
        {
            if (Contains(CharacterSets.At(text, i, out width)))
                matches.Add((i, i + width));
        }

        return matches;
    }
}

/// <summary>
/// The sets of characters that normalizers and pre-tokenizers distinguish. They were taken from Hugging Face's library code point by code
/// point, because its Unicode data is partly older than .NET's, and a tokenizer must split a text as in the model's training.
/// </summary>
internal static class CharacterSets
{
    private static readonly string[][] Lines = ReadLines();

    /// <summary>What BERT's cleaning drops: controls, formats, private use.</summary>
    public static CodePointSet Removed { get; } = Named("removed");

    /// <summary>What BERT's normalizer drops as an accent.</summary>
    public static CodePointSet Accents { get; } = Named("accent");

    /// <summary>What the normalizer of accents drops: marks of every kind.</summary>
    public static CodePointSet Marks { get; } = Named("mark");

    /// <summary>Punctuation, with the signs of ASCII.</summary>
    public static CodePointSet Punctuation { get; } = Named("punctuation");

    /// <summary>Digits and other numbers.</summary>
    public static CodePointSet Numeric { get; } = Named("numeric");

    /// <summary>What belongs to a word: <c>\w</c>.</summary>
    public static CodePointSet Word { get; } = Named("word");

    /// <summary>The ideographs that BERT puts spaces around.</summary>
    public static CodePointSet Chinese { get; } = Named("chinese");

    /// <summary>The scripts that patterns may name, as <c>\p{Han}</c>, with their ranges.</summary>
    public static IReadOnlyDictionary<string, (int First, int Last)[]> Scripts { get; } =
        Lines.Where(line => line[0] == "script").ToDictionary(line => line[1], line => line[2..].Select(Range).ToArray());

    private static readonly byte[] Families = ReadFamilies();
    private static readonly Dictionary<int, string> Lower = Lines.Where(line => line[0] == "lower").ToDictionary(
        line => Code(line[1]), line => string.Concat(line[2..].Select(code => new Rune(Code(code)).ToString())));

    /// <summary>The number of the script family a code point belongs to; 0 for those that can be in any script.</summary>
    public static int FamilyOf(int code) => Families[code];

    /// <summary>The lower case of a text, character by character.</summary>
    public static string ToLower(string text)
    {
        var lower = text.ToLowerInvariant();
        // Only the characters whose lower case differs in .NET.
        var at = lower.AsSpan().IndexOfAny('\u0130', '\uD81B', '\uA7CE') is >= 0 and var first
            ? first
            : lower.AsSpan().IndexOfAny('\uA7D2', '\uA7D4');
        if (at < 0)
            return lower;
        var result = new StringBuilder(lower, 0, at, lower.Length + 4);
        for (int i = at, width; i < lower.Length; i += width)
        {
            if (Lower.TryGetValue(At(lower, i, out width), out var other))
                result.Append(other);
            else
                result.Append(lower, i, width);
        }

        return result.ToString();
    }

    /// <summary>The code point at a place; half a surrogate pair counts as one.</summary>
    public static int At(ReadOnlySpan<char> text, int index, out int width)
    {
        var unit = text[index];
        if (char.IsHighSurrogate(unit) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            width = 2;
            return char.ConvertToUtf32(unit, text[index + 1]);
        }

        width = 1;
        return unit;
    }

    /// <summary>Reads a range of code points.</summary>
    public static (int First, int Last) Range(string text)
    {
        var dash = text.IndexOf('-', StringComparison.Ordinal);
        return dash < 0 ? (Code(text), Code(text)) : (Code(text[..dash]), Code(text[(dash + 1)..]));
    }

    private static int Code(string text) => int.Parse(text, NumberStyles.HexNumber);

    private static CodePointSet Named(string name) => new(Lines.Single(line => line[0] == "set" && line[1] == name)[2..]);

    private static byte[] ReadFamilies()
    {
        var families = new byte[0x110000];
        foreach (var line in Lines.Where(line => line[0] == "family"))
        {
            foreach (var (first, last) in line[2..].Select(Range))
                families.AsSpan(first, last - first + 1).Fill(byte.Parse(line[1]));
        }

        return families;
    }

    private static string[][] ReadLines()
    {
        using var stream = typeof(CharacterSets).Assembly.GetManifestResourceStream("Polymath.Text.CharacterSets.txt")!;
        using var reader = new StreamReader(stream);
        return [.. reader.ReadToEnd().Split('\n').Where(line => line.Length > 0 && line[0] != '#').Select(line => line.Split(' '))];
    }
}
