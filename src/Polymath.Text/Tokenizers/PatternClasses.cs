using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// Character classes of Oniguruma's patterns that .NET's engine lacks: nested ones, intersections, scripts, code points beyond the first
/// 65,536. Each is read as a set and written as ranges. The sets also show which character can replace one beyond the first 65,536 in
/// matching.
/// </summary>
internal sealed class PatternClasses
{
    // Oniguruma's word class has more characters than .NET's.
    private const string WordClass = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u00B2\u00B3\u00B9\u00BC-\u00BE\u24B6-\u24E9";
    private readonly string pattern;
    private readonly StringBuilder result = new();
    private readonly List<Func<int, bool>> sets = [];
    private int at;

    private PatternClasses(string pattern) => this.pattern = pattern;

    /// <summary>The pattern for .NET's engine, and the sets of all its classes.</summary>
    /// <exception cref="FormatException">A class is cut off, or contains an unknown name.</exception>
    public static (string Pattern, IReadOnlyList<Func<int, bool>> Sets) Translate(string pattern)
    {
        var reader = new PatternClasses(pattern);
        reader.Run();
        return (reader.result.ToString(), reader.sets);
    }

    private void Run()
    {
        while (at < pattern.Length)
        {
            var unit = pattern[at];
            if (unit == '[')
                Write(at, ReadClass());
            else if (unit == '\\' && at + 1 < pattern.Length && pattern[at + 1] is 'w' or 'W' or 'p' or 'P')
                Write(at, ReadEscape());
            else if (unit == '\\' && at + 1 < pattern.Length)
                Copy(2);
            else if (unit == '$')
                CopyAs("(?=\\n|\\z)");
            else if (unit == '^')
                CopyAs("(?<=\\A|\\n)");
            else if (char.IsHighSurrogate(unit))
                Write(at, Single(ReadCode()));
            else
                Copy(1);
        }
    }

    private void Copy(int count)
    {
        result.Append(pattern, at, count);
        at += count;
    }

    private void CopyAs(string text)
    {
        result.Append(text);
        at++;
    }

    // Classes with the same meaning in .NET are kept, because it matches them faster.
    private void Write(int start, Func<int, bool> set)
    {
        sets.Add(set);
        var source = pattern.AsSpan(start, at - start);
        if (IsPlain(source))
        {
            result.Append(source.ToString().Replace(@"\w", source[0] == '[' ? WordClass : $"[{WordClass}]", StringComparison.Ordinal));
            return;
        }

        result.Append('[');
        for (var first = 0; first <= char.MaxValue; first++)
        {
            if (char.IsSurrogate((char)first) || !set(first))
                continue;
            var last = first;
            while (last < char.MaxValue && !char.IsSurrogate((char)(last + 1)) && set(last + 1))
                last++;
            result.Append($"\\u{first:X4}-\\u{last:X4}");
            first = last;
        }

        // .NET refuses an empty class, so it is written as half a surrogate pair, which matches nothing.
        result.Append(result[^1] == '[' ? "\\uDFFF]" : "]");
    }

    private static bool IsPlain(ReadOnlySpan<char> source)
    {
        if (source.Length > 1 && source[0] == '[' && source[1..].Contains('['))
            return false;
        if (source.Contains("&&", StringComparison.Ordinal) || source.Contains(@"\W", StringComparison.Ordinal)
            || source.IndexOfAnyInRange('\uD800', '\uDFFF') >= 0 || source.Contains(@"\x{", StringComparison.Ordinal))
            return false;
        for (var i = 0; i + 2 < source.Length; i++)
        {
            if (source[i] == '\\' && source[i + 1] is 'p' or 'P'
                && (source[i + 2] != '{' || source[(i + 3)..].IndexOf('}') is not (1 or 2)))
                return false;
        }

        return true;
    }

    private Func<int, bool> ReadClass()
    {
        at++;
        var negated = Take('^');
        var whole = new List<Func<int, bool>>();
        var parts = new List<Func<int, bool>>();
        for (var first = true; ; first = false)
        {
            if (at >= pattern.Length)
                throw new FormatException("a class is cut off");
            if (!first && Take(']'))
                break;
            if (at + 1 < pattern.Length && pattern[at] == '&' && pattern[at + 1] == '&')
            {
                at += 2;
                whole.Add(Any(parts));
                parts = [];
                continue;
            }

            parts.Add(ReadItem());
        }

        whole.Add(Any(parts));
        return code => whole.TrueForAll(set => set(code)) != negated;
    }

    private Func<int, bool> ReadItem()
    {
        if (pattern[at] == '[')
            return at + 1 < pattern.Length && pattern[at + 1] == ':' ? ReadNamed() : ReadClass();
        if (pattern[at] == '\\' && at + 1 < pattern.Length && pattern[at + 1] is 'p' or 'P' or 'w' or 'W' or 's' or 'S' or 'd' or 'D')
            return ReadEscape();
        var from = ReadCode();
        if (at + 1 >= pattern.Length || pattern[at] != '-' || pattern[at + 1] is ']' or '[')
            return Single(from);
        at++;
        var to = ReadCode();
        return code => code >= from && code <= to;
    }

    private Func<int, bool> ReadNamed()
    {
        var end = pattern.IndexOf(":]", at, StringComparison.Ordinal);
        if (end < 0)
            throw new FormatException("a class is cut off");
        var name = pattern[(at + 2)..end];
        at = end + 2;
        var set = name.TrimStart('^') switch
        {
            "alpha" => Category("L"),
            "digit" => Category("Nd"),
            "alnum" => code => Category("L")(code) || Category("Nd")(code),
            "upper" => Category("Lu"),
            "lower" => Category("Ll"),
            "space" => IsSpace,
            "punct" => CharacterSets.Punctuation.Contains,
            var other => throw new FormatException($"the class {other} is not known"),
        };
        return name.StartsWith('^') ? code => !set(code) : set;
    }

    private Func<int, bool> ReadEscape()
    {
        var kind = pattern[at + 1];
        at += 2;
        Func<int, bool> set = kind switch
        {
            'w' or 'W' => IsWord,
            's' or 'S' => IsSpace,
            'd' or 'D' => Category("Nd"),
            _ => ReadProperty(),
        };
        return char.IsUpper(kind) ? code => !set(code) : set;
    }

    private Func<int, bool> ReadProperty()
    {
        var end = at < pattern.Length && pattern[at] == '{' ? pattern.IndexOf('}', at) : -1;
        if (end < 0)
            throw new FormatException("a property is cut off");
        var name = pattern[(at + 1)..end];
        at = end + 1;
        var negated = name.StartsWith('^');
        name = name.TrimStart('^');
        var set = CharacterSets.Scripts.TryGetValue(name, out var ranges)
            ? code => Array.Exists(ranges, range => code >= range.First && code <= range.Last)
            : Category(name);
        return negated ? code => !set(code) : set;
    }

    private int ReadCode()
    {
        if (pattern[at] != '\\' || at + 1 >= pattern.Length)
        {
            var code = CharacterSets.At(pattern, at, out var width);
            at += width;
            return code;
        }

        var kind = pattern[at + 1];
        at += 2;
        if (kind is 'x' or 'u')
        {
            var braces = kind == 'x' && Take('{');
            var digits = kind == 'x' ? 2 : 4;
            var end = braces ? pattern.IndexOf('}', at) : at + digits;
            if (end < 0 || end > pattern.Length
                || !int.TryParse(pattern.AsSpan(at, end - at), NumberStyles.HexNumber, null, out var number)
                || number is < 0 or > 0x10FFFF)
                throw new FormatException("a code point is cut off");
            at = end + (braces ? 1 : 0);
            return number;
        }

        return kind switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'f' => '\f', 'v' => '\v', 'a' => '\a', 'e' => '\u001B', _ => kind };
    }

    private bool Take(char unit)
    {
        if (at >= pattern.Length || pattern[at] != unit)
            return false;
        at++;
        return true;
    }

    private static Func<int, bool> Single(int code) => other => other == code;

    private static Func<int, bool> Any(List<Func<int, bool>> sets) => code => sets.Exists(set => set(code));

    private static bool IsSpace(int code) => code <= char.MaxValue && char.IsWhiteSpace((char)code);

    private static bool IsWord(int code) => CharUnicodeInfo.GetUnicodeCategory(code) is var category
        && (category <= UnicodeCategory.LetterNumber || category == UnicodeCategory.ConnectorPunctuation
            || code is 0xB2 or 0xB3 or 0xB9 or (>= 0xBC and <= 0xBE) or (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149)
                or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189));

    private static readonly string[] Categories =
    [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Pc", "Pd", "Ps", "Pe",
        "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Cn",
    ];

    private static Func<int, bool> Category(string name)
    {
        if (name.Length is 0 or > 2 || !Array.Exists(Categories, category => category.StartsWith(name, StringComparison.Ordinal)))
            throw new FormatException($"the property {name} is not known");
        var known = Categories.Select(category => category.StartsWith(name, StringComparison.Ordinal)).ToArray();
        return code => known[(int)CharUnicodeInfo.GetUnicodeCategory(code)];
    }
}
