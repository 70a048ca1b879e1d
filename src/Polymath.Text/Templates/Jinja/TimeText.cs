using System.Globalization;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's <c>strftime</c> in the C locale.</summary>
internal static class TimeText
{
    /// <summary>A time in a format.</summary>
    public static string Format(DateTimeOffset time, string format)
    {
        var result = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                result.Append(format[i]);
                continue;
            }
            var bare = format[++i] is '-' && i + 1 < format.Length;
            var code = bare ? format[++i] : format[i];
            var text = One(time, code);
            text ??= $"%{(bare ? "-" : "")}{code}";
            result.Append(bare ? Bare(text) : text);
        }
        return result.ToString();
    }

    // A minus removes leading zeros.
    private static string Bare(string text) => text.TrimStart('0', ' ') is { Length: > 0 } rest ? rest : "0";

    private static string? One(DateTimeOffset time, char code)
    {
        string In(string format) => time.ToString(format, CultureInfo.InvariantCulture);
        return code switch
        {
            'a' => In("ddd"),
            'A' => In("dddd"),
            'b' or 'h' => In("MMM"),
            'B' => In("MMMM"),
            'c' => $"{In("ddd MMM")} {time.Day,2} {In("HH:mm:ss yyyy")}",
            'd' => In("dd"),
            'D' or 'x' => In("MM/dd/yy"),
            'e' => $"{time.Day,2}",
            'f' => In("ffffff"),
            'C' => $"{time.Year / 100:00}",
            'F' => In("yyyy-MM-dd"),
            'g' => $"{ISOWeek.GetYear(time.DateTime) % 100:00}",
            'G' => $"{ISOWeek.GetYear(time.DateTime):0000}",
            'H' => In("HH"),
            'I' => In("hh"),
            'j' => $"{time.DayOfYear:000}",
            'm' => In("MM"),
            'M' => In("mm"),
            'n' => "\n",
            'k' => $"{time.Hour,2}",
            'l' => $"{(time.Hour + 11) % 12 + 1,2}",
            'P' => time.Hour < 12 ? "am" : "pm",
            'p' => time.Hour < 12 ? "AM" : "PM",
            'r' => In("hh:mm:ss ") + (time.Hour < 12 ? "AM" : "PM"),
            'R' => In("HH:mm"),
            's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'S' => In("ss"),
            't' => "\t",
            'T' or 'X' => In("HH:mm:ss"),
            'u' => $"{(time.DayOfWeek == 0 ? 7 : (int)time.DayOfWeek)}",
            'U' => $"{(time.DayOfYear + 6 - (int)time.DayOfWeek) / 7:00}",
            'V' => $"{ISOWeek.GetWeekOfYear(time.DateTime):00}",
            'w' => $"{(int)time.DayOfWeek}",
            'W' => $"{(time.DayOfYear + 6 - ((int)time.DayOfWeek + 6) % 7) / 7:00}",
            'y' => In("yy"),
            'Y' => In("yyyy"),
            'z' or 'Z' => "",
            '%' => "%",
            _ => null,
        };
    }
}
