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
            result.Append(text is null
                ? $"%{(bare ? "-" : "")}{code}"
                : bare ? (text.TrimStart('0') is { Length: > 0 } short_ ? short_ : "0")
                : text);
        }
        return result.ToString();
    }

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
            'F' => In("yyyy-MM-dd"),
            'H' => In("HH"),
            'I' => In("hh"),
            'j' => $"{time.DayOfYear:000}",
            'm' => In("MM"),
            'M' => In("mm"),
            'n' => "\n",
            'p' => time.Hour < 12 ? "AM" : "PM",
            'R' => In("HH:mm"),
            's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'S' => In("ss"),
            't' => "\t",
            'T' or 'X' => In("HH:mm:ss"),
            'u' => $"{(time.DayOfWeek == 0 ? 7 : (int)time.DayOfWeek)}",
            'w' => $"{(int)time.DayOfWeek}",
            'y' => In("yy"),
            'Y' => In("yyyy"),
            'z' or 'Z' => "",
            '%' => "%",
            _ => null,
        };
    }
}
