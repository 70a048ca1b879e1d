using System.Numerics;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The methods of Python's texts.</summary>
internal static class TextMethods
{
    /// <summary>The methods by name.</summary>
    public static Routines All { get; } = new()
    {
        { "capitalize", "", (machine, value, _) => PythonText.Capitalize(Of(machine, value)) },
        { "casefold", "", (machine, value, _) => PythonText.Lower(Of(machine, value).Replace("ß", "ss", StringComparison.Ordinal)) },
        { "center", "width fillchar?", (machine, value, a) => Pad(machine, value, a, -1) },
        { "count", "sub start? end?", (machine, value, a) => new BigInteger(Occurrences(Part(machine, value, a), Sub(a))) },
        {
            "endswith",
            "suffix start? end?",
            (machine, value, a) => Any(a[0]!, suffix => Part(machine, value, a).EndsWith(suffix, StringComparison.Ordinal))
        },
        { "expandtabs", "tabsize?", (machine, value, a) => TabText.Expand(
            Of(machine, value), Math.Clamp(Machine.Count(a[0], 8, "tabsize"), 0, 64)) },
        { "find", "sub start? end?", (machine, value, a) => Found(machine, value, a, last: false) },
        { "format", "*", (machine, value, a) => FormatMethod.Fill(machine, Of(machine, value), (Arguments)a[0]!) },
        { "index", "sub start? end?", (machine, value, a) => Found(
            machine,
            value,
            a,
            last: false,
            needed: true) },
        { "isalnum", "", (machine, value, _) => Every(machine, value, letter => Rune.IsLetter(letter) || Rune.IsNumber(letter)) },
        { "isalpha", "", (machine, value, _) => Every(machine, value, Rune.IsLetter) },
        { "isascii", "", (machine, value, _) => Of(machine, value).All(char.IsAscii) },
        { "isdecimal", "", (machine, value, _) => Every(machine, value, Rune.IsDigit) },
        {
            "isdigit", "", (machine, value, _) => Every(machine, value, letter => Rune.IsDigit(letter) || letter.Value is '²' or '³' or '¹')
        },
        {
            "isidentifier", "",
            (machine, value, _) => Every(machine, value, letter => Rune.IsLetterOrDigit(letter) || letter.Value == '_')
                && !char.IsDigit(Of(machine, value)[0])
        },
        { "islower", "", (machine, value, _) => IsLower(Of(machine, value)) },
        { "isnumeric", "", (machine, value, _) => Every(machine, value, Rune.IsNumber) },
        { "isprintable", "", (machine, value, _) => PythonText.Points(Of(machine, value))
            .All(point => PythonText.IsPrintable(point.Length == 2 ? char.ConvertToUtf32(point, 0) : point[0])) },
        { "isspace", "", (machine, value, _) => Every(machine, value, letter => letter.IsBmp && PythonText.IsSpace((char)letter.Value)) },
        { "istitle", "", (machine, value, _) => Of(machine, value) is { } text && text.Any(char.IsLetter) && text == Title(text) },
        { "isupper", "", (machine, value, _) => IsUpper(Of(machine, value)) },
        { "join", "iterable", (machine, value, a) => Join(machine, Of(machine, value), machine.Iterate(a[0]!)) },
        { "ljust", "width fillchar?", (machine, value, a) => Pad(machine, value, a, 0) },
        { "lower", "", (machine, value, _) => PythonText.Lower(Of(machine, value)) },
        { "lstrip", "chars?", (machine, value, a) => Strip(Of(machine, value), a[0], start: true, end: false) },
        { "partition", "sep", (machine, value, a) => Partition(Of(machine, value), Sub(a), last: false) },
        {
            "removeprefix", "prefix",
            (machine, value, a) =>
                Of(machine, value) is { } text && text.StartsWith(Sub(a), StringComparison.Ordinal) ? text[Sub(a).Length..] : value
        },
        {
            "removesuffix", "suffix",
            (machine, value, a) => Of(machine, value) is { } text && Sub(a).Length > 0 && text.EndsWith(Sub(a), StringComparison.Ordinal)
                ? text[..^Sub(a).Length]
                : value
        },
        { "replace", "old new count?", (machine, value, a) => Replace(
            machine,
            Of(machine, value),
            Sub(a),
            Sub(a, 1),
            Machine.Count(a[2], -1, "count")) },
        { "rfind", "sub start? end?", (machine, value, a) => Found(machine, value, a, last: true) },
        { "rindex", "sub start? end?", (machine, value, a) => Found(
            machine,
            value,
            a,
            last: true,
            needed: true) },
        { "rjust", "width fillchar?", (machine, value, a) => Pad(machine, value, a, 1) },
        { "rpartition", "sep", (machine, value, a) => Partition(Of(machine, value), Sub(a), last: true) },
        { "rsplit", "sep? maxsplit?", (machine, value, a) => TextSplitting.Split(machine, Of(machine, value), a, fromEnd: true) },
        { "rstrip", "chars?", (machine, value, a) => Strip(Of(machine, value), a[0], start: false, end: true) },
        { "split", "sep? maxsplit?", (machine, value, a) => TextSplitting.Split(machine, Of(machine, value), a, fromEnd: false) },
        {
            "splitlines",
            "keepends?",
            (machine, value, a) => new ListValue([.. PythonText.Lines(Of(machine, value), a[0] is { } keep && Machine.Truth(keep))])
        },
        {
            "startswith",
            "prefix start? end?",
            (machine, value, a) => Any(a[0]!, prefix => Part(machine, value, a).StartsWith(prefix, StringComparison.Ordinal))
        },
        { "strip", "chars?", (machine, value, a) => Strip(Of(machine, value), a[0], start: true, end: true) },
        { "swapcase", "", (machine, value, _) => string.Concat(Of(machine, value)
            .Select(letter => char.IsUpper(letter) ? PythonText.Lower(letter.ToString()) : PythonText.Upper(letter.ToString()))) },
        { "title", "", (machine, value, _) => Title(Of(machine, value)) },
        { "upper", "", (machine, value, _) => PythonText.Upper(Of(machine, value)) },
        { "zfill", "width", (machine, value, a) => ZeroFill(machine, Of(machine, value), Machine.Count(a[0], 0, "width")) },
    };

    /// <summary>Whether a text has small letters and no capital ones.</summary>
    public static bool IsLower(string text) => text.Any(char.IsLower) && !text.Any(char.IsUpper);

    /// <summary>Whether a text has capital letters and no small ones.</summary>
    public static bool IsUpper(string text) => text.Any(char.IsUpper) && !text.Any(char.IsLower);

    /// <summary>The texts of some items with another between them.</summary>
    public static string Join(Machine machine, string between, IEnumerable<object> items)
    {
        var texts = new List<string>();
        var length = 0L;
        foreach (var item in items)
        {
            var text = Machine.Defined(item) as string ?? throw new JinjaFault($"join needs texts, found '{Types.NameOf(item)}'");
            length += text.Length + between.Length;
            machine.Meter.Limit(length);
            texts.Add(text);
        }
        return machine.Meter.Made(string.Join(between, texts));
    }

    /// <summary>A text with pieces replaced.</summary>
    public static string Replace(
        Machine machine,
        string text,
        string old,
        string with,
        int most)
    {
        if (old.Length == 0)
        {
            var points = PythonText.Points(text);
            var count = most < 0 ? points.Count + 1 : Math.Min(most, points.Count + 1);
            machine.Meter.Text(text.Length + (long)count * with.Length);
            return string.Concat(points.Select((point, i) => i < count ? with + point : point)) + (count > points.Count ? with : "");
        }
        machine.Meter.Text(text.Length + (long)Occurrences(text, old) * Math.Max(0, with.Length - old.Length));
        if (most < 0)
            return text.Replace(old, with, StringComparison.Ordinal);
        var result = new System.Text.StringBuilder();
        var at = 0;
        for (; most > 0 && text.IndexOf(old, at, StringComparison.Ordinal) is >= 0 and var found; most--)
        {
            result.Append(text, at, found - at).Append(with);
            at = found + old.Length;
        }
        return result.Append(text, at, text.Length - at).ToString();
    }

    /// <summary>A text without some characters at its ends.</summary>
    public static string Strip(string text, object? characters, bool start, bool end)
    {
        if (characters is null or None)
        {
            text = start ? PythonText.TrimStart(text) : text;
            return end ? PythonText.TrimEnd(text) : text;
        }
        var set = PythonText.Points(Machine.Defined(characters) as string ?? throw new JinjaFault("the characters to strip must be a text"))
            .ToHashSet(StringComparer.Ordinal);
        var points = PythonText.Points(text);
        int from = 0, to = points.Count;
        while (start && from < to && set.Contains(points[from])) from++;
        while (end && to > from && set.Contains(points[to - 1])) to--;
        return string.Concat(points.Skip(from).Take(to - from));
    }

    /// <summary>A text in the middle of a width.</summary>
    public static string Pad(Machine machine, object value, object?[] arguments, int side)
    {
        var text = Of(machine, value);
        var width = Machine.Count(arguments[0], 80, "width");
        var fill = arguments.Length > 1 && arguments[1] is string { Length: 1 } given ? given[0] : ' ';
        var missing = width - PythonText.Length(text);
        if (missing <= 0)
            return text;
        machine.Meter.Text(width);
        // Python puts the extra space on the left when the width is odd.
        var left = side switch { 0 => 0, 1 => missing, _ => missing / 2 + (missing & width & 1) };
        return new string(fill, left) + text + new string(fill, missing - left);
    }

    /// <summary>The text of a value whose method is called.</summary>
    private static string Of(Machine machine, object value)
    {
        machine.Meter.Text(((string)value).Length);
        return (string)value;
    }

    private static string Sub(object?[] arguments, int at = 0) =>
        arguments[at] as string
            ?? throw (arguments[at] is Undefined missing
                ? missing.Fault()
                : new JinjaFault($"a text is needed here, found '{Types.NameOf(arguments[at]!)}'"));

    private static string Part(Machine machine, object value, object?[] arguments) =>
        arguments[1] is null && arguments[2] is null
            ? Of(machine, value)
            : (string)machine.Element(value, new SliceValue(arguments[1] ?? None.Value, arguments[2] ?? None.Value, None.Value));

    private static bool Any(object pieces, Func<string, bool> fits) => pieces is TupleValue tuple
        ? tuple.Items.Any(piece => fits(piece as string ?? throw new JinjaFault("a tuple of texts is needed here")))
        : fits(Sub([pieces]));

    private static int Occurrences(string text, string piece)
    {
        if (piece.Length == 0)
            return PythonText.Length(text) + 1;
        var count = 0;
        for (var at = text.IndexOf(piece, StringComparison.Ordinal);
            at >= 0;
            at = text.IndexOf(piece, at + piece.Length, StringComparison.Ordinal)) count++;
        return count;
    }

    private static BigInteger Found(
        Machine machine,
        object value,
        object?[] arguments,
        bool last,
        bool needed = false)
    {
        var text = Of(machine, value);
        var part = Part(machine, value, arguments);
        var start = arguments[1] is null or None ? 0 : Machine.Count(arguments[1], 0, "start");
        if (start < 0)
            start = Math.Max(0, start + PythonText.Length(text));
        var at = last ? part.LastIndexOf(Sub(arguments), StringComparison.Ordinal) : part.IndexOf(Sub(arguments), StringComparison.Ordinal);
        if (at < 0 && needed)
            throw new JinjaFault("the piece of text that index() looks for is not found");
        return new BigInteger(at < 0 ? -1 : PythonText.PlaceOf(part, at) + start);
    }

    private static bool Every(Machine machine, object value, Func<Rune, bool> fits) =>
        Of(machine, value) is { Length: > 0 } text && text.EnumerateRunes().All(fits);

    private static TupleValue Partition(string text, string by, bool last)
    {
        if (by.Length == 0)
            throw new JinjaFault("the separator is empty");
        var at = last ? text.LastIndexOf(by, StringComparison.Ordinal) : text.IndexOf(by, StringComparison.Ordinal);
        if (at >= 0)
            return new TupleValue([text[..at], by, text[(at + by.Length)..]]);
        return new TupleValue(last ? ["", "", text] : [text, "", ""]);
    }

    private static string Title(string text)
    {
        var inside = false;
        return string.Concat(PythonText.Points(text).Select(point =>
        {
            // Only letters with two cases form a word: after a Chinese character, a new word begins.
            var cased = PythonText.Lower(point) != PythonText.Upper(point);
            var goesOn = inside;
            inside = cased;
            if (!cased)
                return point;
            return goesOn ? PythonText.Lower(point) : PythonText.Capitalize(point);
        }));
    }

    private static string ZeroFill(Machine machine, string text, int width)
    {
        machine.Meter.Text(width);
        var sign = text.StartsWith('-') || text.StartsWith('+') ? 1 : 0;
        return text[..sign] + new string('0', Math.Max(0, width - PythonText.Length(text))) + text[sign..];
    }
}
