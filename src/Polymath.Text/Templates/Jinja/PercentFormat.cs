using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's formatting with <c>%</c>.</summary>
internal static partial class PercentFormat
{
    /// <summary>A format with its values in their places.</summary>
    public static string Fill(Machine machine, string format, object values)
    {
        var items = values is TupleValue tuple ? tuple.Items : [values];
        var used = 0;
        object Next() => used < items.Count ? items[used++] : throw new JinjaFault("there are fewer values than places in the format");
        var result = new StringBuilder();
        var at = 0;
        while (format.IndexOf('%', at) is >= 0 and var percent)
        {
            result.Append(format, at, percent - at);
            var match = Place().Match(format, percent);
            if (!match.Success)
                throw new JinjaFault(
                    $"'{format[percent..Math.Min(format.Length, percent + 5)]}' is not a place in a format",
                    "Write %% for a percent sign");
            at = percent + match.Length;
            var kind = match.Groups["kind"].Value[0];
            if (kind == '%')
            {
                result.Append('%');
                continue;
            }
            int? Size(string group)
            {
                if (match.Groups[group] is not { Success: true, Value: var text })
                    return null;
                if (text == "*")
                    return Machine.Count(Next(), 0, "a width");
                if (text.Length == 0)
                    return 0;
                return int.TryParse(text, out var size) ? size : throw new JinjaFault("a width is too large");
            }
            var flags = match.Groups["flags"].Value;
            int? width = Size("width"), digits = Size("digits");
            object Named(string key) => values is DictValue dict && dict.TryGet(key, out var named)
                ? named
                : throw new JinjaFault($"the format asks for '{key}', which is not given");
            var value = match.Groups["name"] is { Success: true, Value: var name } ? Named(name) : Next();
            machine.Meter.Text(result.Length / 64 + Math.Abs((long)(width ?? 0)) + Math.Abs((long)(digits ?? 0)));
            result.Append(Aligned(
                One(
                    machine,
                    kind,
                    value,
                    flags,
                    digits),
                flags,
                width ?? 0,
                kind));
        }
        if (values is not (DictValue or ListValue) && used < items.Count)
            throw new JinjaFault("there are more values than places in the format");
        return machine.Meter.Made(result.Append(format, at, format.Length - at).ToString());
    }

    private static string One(
        Machine machine,
        char kind,
        object value,
        string flags,
        int? digits)
    {
        if (kind is 's' or 'r' or 'a')
        {
            var text = kind == 's' ? machine.Text(value) : machine.Repr(value);
            return digits is { } most ? string.Concat(PythonText.Points(text).Take(most)) : text;
        }
        if (kind == 'c')
            return value is string { Length: > 0 } letter
                ? letter
                : char.ConvertFromUtf32(Math.Clamp(Machine.Count(value, 0, "a character"), 0, 0xD7FF));
        if (!Numbers.Is(Machine.Defined(value)))
            throw new JinjaFault($"%{kind} needs a number, found {Types.NameOf(value)}");
        var space = flags.Contains(' ', StringComparison.Ordinal) ? " " : "";
        var plus = flags.Contains('+', StringComparison.Ordinal) ? "+" : space;
        BigInteger Whole() => value is double real ? new BigInteger(Math.Truncate(real)) : Numbers.Whole(value)!.Value;
        var number = "diuxXo".Contains(kind, StringComparison.Ordinal)
            ? NumberText.Whole(Whole(), kind, flags.Contains('#', StringComparison.Ordinal), digits ?? 0)
            : NumberText.Real(Numbers.Real(value), kind, digits ?? 6);
        return number[0] == '-' ? number : plus + number;
    }

    private static string Aligned(string text, string flags, int width, char kind)
    {
        var missing = Math.Abs((long)width) - PythonText.Length(text);
        if (missing <= 0)
            return text;
        var space = new string(' ', (int)missing);
        if (width < 0 || flags.Contains('-', StringComparison.Ordinal))
            return text + space;
        if (!flags.Contains('0', StringComparison.Ordinal) || "srac".Contains(kind, StringComparison.Ordinal))
            return space + text;
        var sign = text[0] is '-' or '+' or ' ' ? 1 : 0;
        return text[..sign] + new string('0', (int)missing) + text[sign..];
    }

    [GeneratedRegex(
        @"\G%(?:\((?<name>[^()]*)\))?(?<flags>[-+ #0]*)(?<width>\*|[0-9]+)?(?:\.(?<digits>\*|[0-9]*))?[hlL]?(?<kind>[sradiufFeEgGxXoc%])",
        RegexOptions.CultureInvariant)]
    private static partial Regex Place();
}
