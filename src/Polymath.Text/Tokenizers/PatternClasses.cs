using System.Globalization;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// Character classes of Oniguruma's patterns that .NET's engine lacks: nested ones, intersections, scripts, code points beyond the first
/// 65,536. Each is read as a set and written as ranges; the sets also say which character may stand in for one beyond those.
/// </summary>
internal sealed class PatternClasses
{
    // Oniguruma counts more to a word than .NET does.
    private const string WordClass = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u00B2\u00B3\u00B9\u00BC-\u00BE\u24B6-\u24E9";
    private readonly string _pattern;
    private readonly StringBuilder _result = new();
    private readonly List<Func<int, bool>> _sets = [];
    private int _at;

    private PatternClasses(string pattern) => _pattern = pattern;

    /// <summary>The pattern for .NET's engine, and the sets of all its classes.</summary>
    /// <exception cref="FormatException">A class is cut off, or names what is not known.</exception>
    public static (string Pattern, IReadOnlyList<Func<int, bool>> Sets) Translate(string pattern)
    {
        var reader = new PatternClasses(pattern);
        reader.Run();
        return (reader._result.ToString(), reader._sets);
    }

    private void Run()
    {
        while (_at < _pattern.Length)
        {
            var unit = _pattern[_at];
            if (unit == '[')
                Write(_at, ReadClass());
            else if (unit == '\\' && _at + 1 < _pattern.Length && _pattern[_at + 1] is 'w' or 'W' or 'p' or 'P')
                Write(_at, ReadEscape());
            else if (unit == '\\' && _at + 1 < _pattern.Length)
                Copy(2);
            else if (unit == '$')
                CopyAs("(?=\\n|\\z)");
            else if (unit == '^')
                CopyAs("(?<=\\A|\\n)");
            else if (char.IsHighSurrogate(unit))
                Write(_at, Single(ReadCode()));
            else
                Copy(1);
        }
    }

    private void Copy(int count)
    {
        _result.Append(_pattern, _at, count);
        _at += count;
    }

    private void CopyAs(string text)
    {
        _result.Append(text);
        _at++;
    }

    // What .NET understands alike stays as it is written, which it matches faster.
    private void Write(int start, Func<int, bool> set)
    {
        _sets.Add(set);
        var source = _pattern.AsSpan(start, _at - start);
        if (IsPlain(source))
        {
            _result.Append(source.ToString().Replace(@"\w", source[0] == '[' ? WordClass : $"[{WordClass}]", StringComparison.Ordinal));
            return;
        }

        _result.Append('[');
        for (var first = 0; first <= char.MaxValue; first++)
        {
            if (char.IsSurrogate((char)first) || !set(first))
                continue;
            var last = first;
            while (last < char.MaxValue && !char.IsSurrogate((char)(last + 1)) && set(last + 1))
                last++;
            _result.Append($"\\u{first:X4}-\\u{last:X4}");
            first = last;
        }

        // An empty class is refused: a lone half of a pair stands for nothing.
        _result.Append(_result[^1] == '[' ? "\\uDFFF]" : "]");
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
        _at++;
        var negated = Take('^');
        var whole = new List<Func<int, bool>>();
        var parts = new List<Func<int, bool>>();
        for (var first = true; ; first = false)
        {
            if (_at >= _pattern.Length)
                throw new FormatException("a class is cut off");
            if (!first && Take(']'))
                break;
            if (_at + 1 < _pattern.Length && _pattern[_at] == '&' && _pattern[_at + 1] == '&')
            {
                _at += 2;
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
        if (_pattern[_at] == '[')
            return _at + 1 < _pattern.Length && _pattern[_at + 1] == ':' ? ReadNamed() : ReadClass();
        if (_pattern[_at] == '\\' && _at + 1 < _pattern.Length && _pattern[_at + 1] is 'p' or 'P' or 'w' or 'W' or 's' or 'S' or 'd' or 'D')
            return ReadEscape();
        var from = ReadCode();
        if (_at + 1 >= _pattern.Length || _pattern[_at] != '-' || _pattern[_at + 1] is ']' or '[')
            return Single(from);
        _at++;
        var to = ReadCode();
        return code => code >= from && code <= to;
    }

    private Func<int, bool> ReadNamed()
    {
        var end = _pattern.IndexOf(":]", _at, StringComparison.Ordinal);
        if (end < 0)
            throw new FormatException("a class is cut off");
        var name = _pattern[(_at + 2)..end];
        _at = end + 2;
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
        var kind = _pattern[_at + 1];
        _at += 2;
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
        var end = _at < _pattern.Length && _pattern[_at] == '{' ? _pattern.IndexOf('}', _at) : -1;
        if (end < 0)
            throw new FormatException("a property is cut off");
        var name = _pattern[(_at + 1)..end];
        _at = end + 1;
        var negated = name.StartsWith('^');
        name = name.TrimStart('^');
        var set = CharacterSets.Scripts.TryGetValue(name, out var ranges)
            ? code => Array.Exists(ranges, range => code >= range.First && code <= range.Last)
            : Category(name);
        return negated ? code => !set(code) : set;
    }

    private int ReadCode()
    {
        if (_pattern[_at] != '\\' || _at + 1 >= _pattern.Length)
        {
            var code = CharacterSets.At(_pattern, _at, out var width);
            _at += width;
            return code;
        }

        var kind = _pattern[_at + 1];
        _at += 2;
        if (kind is 'x' or 'u')
        {
            var braces = kind == 'x' && Take('{');
            var end = braces ? _pattern.IndexOf('}', _at) : _at + (kind == 'x' ? 2 : 4);
            if (end < 0 || end > _pattern.Length
                || !int.TryParse(_pattern.AsSpan(_at, end - _at), NumberStyles.HexNumber, null, out var number)
                || number is < 0 or > 0x10FFFF)
                throw new FormatException("a code point is cut off");
            _at = end + (braces ? 1 : 0);
            return number;
        }

        return kind switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'f' => '\f', 'v' => '\v', 'a' => '\a', 'e' => '\u001B', _ => kind };
    }

    private bool Take(char unit)
    {
        if (_at >= _pattern.Length || _pattern[_at] != unit)
            return false;
        _at++;
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
