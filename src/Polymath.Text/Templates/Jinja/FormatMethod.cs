using System.Numerics;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's <c>str.format</c>, with the member lookup of templates.</summary>
internal static partial class FormatMethod
{
    /// <summary>A format with its values in their places.</summary>
    public static string Fill(Machine machine, string format, Arguments arguments)
    {
        var result = new StringBuilder();
        var automatic = 0;
        for (var i = 0; i < format.Length; i++)
        {
            var letter = format[i];
            if (letter is not ('{' or '}'))
            {
                result.Append(letter);
                continue;
            }
            if (i + 1 < format.Length && format[i + 1] == letter)
            {
                result.Append(letter);
                i++;
                continue;
            }
            var match = letter == '{' ? Place().Match(format, i) : Match.Empty;
            if (!match.Success)
                throw new JinjaFault($"'{letter}' is unmatched in a format", $"Write {letter}{letter} for the sign itself");
            i += match.Length - 1;
            var first = match.Groups["first"].Value;
            if (first.Length == 0)
                first = $"{automatic++}";
            var numbered = int.TryParse(first, out var place);
            if (numbered && place >= arguments.Positional.Count)
                throw new JinjaFault($"the format asks for value {place}, but there are {arguments.Positional.Count}");
            var value = numbered
                ? arguments.Positional[place]
                : arguments.Named.GetValueOrDefault(first) ?? throw new JinjaFault($"the format asks for '{first}', which is not given");
            foreach (Capture step in match.Groups["step"].Captures)
                value = step.Value[0] == '.' ? machine.Attribute(value, step.Value[1..]) : machine.Element(value, Key(step.Value[1..^1]));
            if (match.Groups["conversion"].Value is { Length: > 0 } conversion)
                value = conversion == "s" ? machine.Text(value) : machine.Repr(value);
            result.Append(One(machine, value, match.Groups["form"].Value));
            machine.Meter.Limit(result.Length);
        }
        return machine.Meter.Made(result.ToString());
    }

    private static object Key(string text) => int.TryParse(text, out var index) ? new BigInteger(index) : text;

    private static string One(Machine machine, object value, string form)
    {
        if (form.Length == 0)
            return machine.Text(value);
        var match = Form().Match(form);
        if (!match.Success || !(value is string || Numbers.Is(value)))
            throw new JinjaFault($"'{form}' is not a format for a '{Types.NameOf(value)}'");
        var usual = value switch { string => 's', double => 'r', _ => 'd' };
        var kind = match.Groups["kind"].Value is { Length: > 0 } named ? named[0] : usual;
        int? Size(string group)
        {
            if (match.Groups[group].Success)
                return int.TryParse(match.Groups[group].Value, out var size) ? size : throw new JinjaFault("a width is too large");
            return null;
        }
        int? width = Size("width"), digits = Size("digits");
        machine.Meter.Text((width ?? 0) + (long)(digits ?? 0));
        string text;
        if (value is string words)
        {
            if (kind != 's')
                throw new JinjaFault($"'{kind}' is not a format for a text");
            text = digits is { } most ? string.Concat(PythonText.Points(words).Take(most)) : words;
        }
        else if ("dxXob".Contains(kind, StringComparison.Ordinal) && value is not double)
            text = NumberText.Whole(Numbers.Whole(value)!.Value, kind, match.Groups["alternate"].Success, 0);
        else
            text = kind switch
            {
                'r' when digits is null => Numbers.Text(Numbers.Real(value)),
                'r' => NumberText.Real(Numbers.Real(value), 'g', digits ?? 6),
                '%' => NumberText.Real(100 * Numbers.Real(value), 'f', digits ?? 6) + "%",
                _ => NumberText.Real(Numbers.Real(value), kind, digits ?? 6),
            };
        if (match.Groups["comma"].Success)
            text = Grouped(text, match.Groups["comma"].Value);
        if (value is not string && match.Groups["sign"].Value is "+" or " " && text[0] != '-')
            text = match.Groups["sign"].Value + text;
        return Aligned(text, match, width ?? 0, value is string);
    }

    private static string Grouped(string text, string by)
    {
        var whole = text.TakeWhile((letter, i) => char.IsAsciiDigit(letter) || (i == 0 && letter == '-')).Count();
        return Thousands().Replace(text[..whole], by) + text[whole..];
    }

    private static string Aligned(string text, Match match, int width, bool isText)
    {
        var missing = width - PythonText.Length(text);
        if (missing <= 0)
            return text;
        var zero = match.Groups["zero"].Success && !match.Groups["align"].Success;
        var blank = match.Groups["zero"].Success ? '0' : ' ';
        var fill = match.Groups["fill"] is { Success: true, Value: { Length: 1 } given } ? given[0] : blank;
        var align = match.Groups["align"] switch
        {
            { Success: true, Value: var asked } => asked,
            _ when isText => "<",
            _ when zero => "=",
            _ => ">",
        };
        var sign = align == "=" && text[0] is '-' or '+' or ' ' ? 1 : 0;
        return align switch
        {
            "<" => text + new string(fill, missing),
            ">" => new string(fill, missing) + text,
            "^" => new string(fill, missing / 2) + text + new string(fill, missing - missing / 2),
            _ => text[..sign] + new string(fill, missing) + text[sign..],
        };
    }

    [GeneratedRegex(@"\G\{(?<first>\w*)(?<step>\.\w+|\[[^\]{}]*\])*(?:!(?<conversion>[rsa]))?(?::(?<form>[^{}]*))?\}")]
    private static partial Regex Place();

    [GeneratedRegex(@"\A(?:(?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ "
            + @"])?(?<alternate>#)?(?<zero>0)?(?<width>[0-9]+)?(?<comma>[,_])?(?:\.(?<digits>[0-9]+))?(?<kind>[sdxXobeEfFgG%])?\z",
        RegexOptions.Singleline)]
    private static partial Regex Form();

    [GeneratedRegex(@"(?<=[0-9])(?=(?:[0-9]{3})+\z)")]
    private static partial Regex Thousands();
}
