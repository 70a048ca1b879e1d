using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Filters on text.</summary>
internal static partial class TextFilters
{
    /// <summary>The filters by name.</summary>
    public static Routines All { get; } = new()
    {
        { "capitalize", "", (machine, value, _) => PythonText.Capitalize(machine.Text(value)) },
        { "center", "width?", (machine, value, a) => TextMethods.Pad(machine, machine.Text(value), [a[0] ?? new BigInteger(80)], -1) },
        { "e", "", (machine, value, _) => Escape(machine, value) },
        { "escape", "", (machine, value, _) => Escape(machine, value) },
        { "filesizeformat", "binary?", FileSize },
        { "forceescape", "", (machine, value, _) => Escape(machine, value) },
        { "format", "*", Format },
        { "indent", "width? first? blank?", Indent },
        { "lower", "", (machine, value, _) => PythonText.Lower(machine.Text(value)) },
        { "pprint", "", (machine, value, _) => machine.Repr(value) },
        { "replace", "old new count?", (machine, value, a) => TextMethods.Replace(
            machine,
            machine.Text(value),
            machine.Text(a[0]!),
            machine.Text(a[1]!),
            a[2] is null or None ? -1 : Machine.Count(a[2], -1, "count")) },
        {
            "striptags", "",
            (machine, value, _) => Unescape(
                string.Join(' ', Marks().Replace(machine.Text(value), "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)))
        },
        { "title", "", (machine, value, _) => Title(machine.Text(value)) },
        {
            "trim", "chars?",
            (machine, value, a) => TextMethods.Strip(machine.Meter.Made(machine.Text(value)), a[0], start: true, end: true)
        },
        { "truncate", "length? killwords? end? leeway?", Truncate },
        { "upper", "", (machine, value, _) => PythonText.Upper(machine.Text(value)) },
        { "urlencode", "", UrlEncode },
        { "wordcount", "", (machine, value, _) => new BigInteger(Words().Count(machine.Meter.Made(machine.Text(value)))) },
    };

    private static string Escape(Machine machine, object value)
    {
        var text = machine.Text(value);
        machine.Meter.Text(5L * text.Length);
        return text.Replace("&", "&amp;", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);
    }

    private static string Unescape(string text) => System.Net.WebUtility.HtmlDecode(text);

    private static object FileSize(Machine machine, object value, object?[] a)
    {
        var bytes = Numbers.Is(Machine.Defined(value))
            ? Numbers.Real(value)
            : value is string text && PythonNumbers.Real(text) is double read ? read
            : throw new JinjaFault("a number of bytes is needed");
        var binary = a[0] is { } flag && Machine.Truth(flag);
        double basis = binary ? 1024 : 1000;
        if (bytes == 1)
            return "1 Byte";
        if (bytes < basis)
            return $"{Math.Truncate(bytes):F0} Bytes";
        var unit = basis;
        var place = 0;
        while (place < 7 && bytes >= unit * basis) (unit, place) = (unit * basis, place + 1);
        return $"{Numbers.Fixed(bytes / unit, 1)} "
            + $"{"kMGTPEZY"[place].ToString().ToUpperInvariant().Replace("K", binary ? "K" : "k", StringComparison.Ordinal)}{(binary ? "iB" : "B")}";
    }

    private static object Format(Machine machine, object value, object?[] a)
    {
        var arguments = (Arguments)a[0]!;
        if (arguments.Positional.Count > 0 && arguments.Named.Count > 0)
            throw new JinjaFault("the filter 'format' takes arguments with names or without, not both");
        return PercentFormat.Fill(
            machine,
            machine.Text(value),
            arguments.Named.Count > 0 ? Globals.DictOf(arguments.Named) : new TupleValue(arguments.Positional));
    }

    private static object Indent(Machine machine, object value, object?[] a)
    {
        if (value is not string && !Numbers.Is(value))
            Machine.Defined(value);
        if (value is not string text)
            throw new JinjaFault($"'{Types.NameOf(value)}' cannot be indented; a text is needed");
        var by = a[0] is string given ? given : new string(' ', Math.Clamp(Machine.Count(a[0], 4, "width"), 0, 10000));
        var lines = PythonText.Lines(text + "\n");
        machine.Meter.Text(text.Length + (long)lines.Count * (by.Length + 1));
        var blank = a[2] is { } flag && Machine.Truth(flag);
        var result = string.Join('\n', lines.Select((line, i) => i == 0 || (line.Length == 0 && !blank) ? line : by + line));
        return a[1] is { } first && Machine.Truth(first) ? by + result : result;
    }

    private static string Title(string text) =>
        string.Concat(WordStarts().Split(text).Where(word => word.Length > 0).Select(PythonText.Capitalize));

    private static object Truncate(Machine machine, object value, object?[] a)
    {
        var text = Machine.Defined(value) as string
            ?? throw new JinjaFault($"'{Types.NameOf(value)}' cannot be truncated; a text is needed");
        var points = PythonText.Points(machine.Meter.Made(text));
        var length = Machine.Count(a[0], 255, "length");
        var end = a[2] as string ?? "...";
        var kept = length - PythonText.Length(end);
        if (kept < 0)
            throw new JinjaFault($"a length of {length} has no room for '{end}'");
        if (points.Count <= length + (long)Machine.Count(a[3] is None ? null : a[3], 5, "leeway"))
            return text;
        var cut = string.Concat(points.Take(kept));
        if (a[1] is { } kill && Machine.Truth(kill))
            return cut + end;
        return (cut.LastIndexOf(' ') is >= 0 and var space ? cut[..space] : cut) + end;
    }

    private static object UrlEncode(Machine machine, object value, object?[] a)
    {
        if (value is string || Machine.ItemsOf(value) is null)
            return Quote(machine.Text(value), query: false);
        var items = value is DictValue dict ? dict.Entries.Select(entry => (entry.Key, entry.Value))
            : machine.Iterate(value).Select(item =>
                item is Sequence { Items.Count: 2 } pair ? (pair.Items[0], pair.Items[1]) : throw new JinjaFault("pairs are needed here"));
        return string.Join(
            '&', items.Select(item => $"{Quote(machine.Text(item.Item1), query: true)}={Quote(machine.Text(item.Item2), query: true)}"));
    }

    private static string Quote(string text, bool query)
    {
        var result = new StringBuilder();
        foreach (var octet in Encoding.UTF8.GetBytes(text))
        {
            var letter = (char)octet;
            result.Append(char.IsAsciiLetterOrDigit(letter) || letter is '_' or '.' or '-' or '~' || (letter == '/' && !query)
                ? letter.ToString()
                : query && letter == ' ' ? "+"
                : $"%{octet:X2}");
        }
        return result.ToString();
    }

    [GeneratedRegex(@"([-\s({\[<]+)")]
    private static partial Regex WordStarts();

    [GeneratedRegex(@"\w+")]
    private static partial Regex Words();

    [GeneratedRegex(@"<!--.*?-->|<[^>]*>", RegexOptions.Singleline)]
    private static partial Regex Marks();
}
