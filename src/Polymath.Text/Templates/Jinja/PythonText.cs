using System.Globalization;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>
/// Python's rules for text: places are code points, white space is Unicode's, and a change of case may turn one letter into several.
/// </summary>
internal static class PythonText
{
    /// <summary>Whether Python counts a character as white space.</summary>
    public static bool IsSpace(char character) => char.IsWhiteSpace(character) || character is >= '\x1c' and <= '\x1f';

    /// <summary>The text without white space at its end.</summary>
    public static string TrimEnd(string text)
    {
        var end = text.Length;
        while (end > 0 && IsSpace(text[end - 1])) end--;
        return text[..end];
    }

    /// <summary>The text without white space at its beginning.</summary>
    public static string TrimStart(string text)
    {
        var start = 0;
        while (start < text.Length && IsSpace(text[start])) start++;
        return text[start..];
    }

    /// <summary>Whether every place is one UTF-16 unit.</summary>
    public static bool IsPlain(string text) => text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0;

    /// <summary>The number of code points.</summary>
    public static int Length(string text)
    {
        var count = text.Length;
        for (var i = 0; i + 1 < text.Length; i++)
        {
            if (char.IsSurrogatePair(text[i], text[i + 1]))
            {
                count--;
                i++;
            }
        }
        return count;
    }

    /// <summary>The code points, each as a text.</summary>
    public static List<string> Points(string text)
    {
        var points = new List<string>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var pair = i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]);
            points.Add(pair ? text.Substring(i++, 2) : text[i].ToString());
        }
        return points;
    }

    /// <summary>The place of a UTF-16 offset in code points.</summary>
    public static int PlaceOf(string text, int offset) => offset < 0 ? offset : Length(text[..offset]);

    /// <summary>The UTF-16 offset of a place in code points.</summary>
    public static int OffsetOf(string text, int place)
    {
        if (IsPlain(text))
            return Math.Min(place, text.Length);
        var at = 0;
        for (; place > 0 && at < text.Length; place--) at += at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]) ? 2 : 1;
        return at;
    }

    /// <summary>The text in upper case; a letter may become several.</summary>
    public static string Upper(string text) => text.ToUpperInvariant()
        .Replace("ß", "SS", StringComparison.Ordinal)
        .Replace("ﬁ", "FI", StringComparison.Ordinal)
        .Replace("ﬂ", "FL", StringComparison.Ordinal)
        .Replace("ﬀ", "FF", StringComparison.Ordinal).Replace("ŉ", "ʼN", StringComparison.Ordinal);

    /// <summary>The text in lower case; a sigma at a word's end has its own form.</summary>
    public static string Lower(string text)
    {
        var lower = text.ToLowerInvariant().Replace("İ", "i\u0307", StringComparison.Ordinal);
        if (!text.Contains('Σ', StringComparison.Ordinal) || lower.Length != text.Length)
            return lower;
        var letters = lower.ToCharArray();
        for (var i = 1; i < letters.Length; i++)
        {
            if (text[i] == 'Σ' && char.IsLetter(letters[i - 1]) && (i + 1 == letters.Length || !char.IsLetter(letters[i + 1])))
                letters[i] = 'ς';
        }
        return new string(letters);
    }

    /// <summary>The first letter a capital, the others small.</summary>
    public static string Capitalize(string text)
    {
        if (text.Length == 0)
            return text;
        var first = Points(text)[0];
        return (first == "ß" ? "Ss" : Upper(first)) + Lower(text[first.Length..]);
    }

    /// <summary>The lines of a text by Python's rules.</summary>
    public static List<string> Lines(string text, bool keepEnds = false)
    {
        var lines = new List<string>();
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029'))
                continue;
            var end = text[i] == '\r' && i + 1 < text.Length && text[i + 1] == '\n' ? i + 2 : i + 1;
            lines.Add(text[start..(keepEnds ? end : i)]);
            start = end;
            i = end - 1;
        }
        if (start < text.Length)
            lines.Add(text[start..]);
        return lines;
    }

    /// <summary>A text in Python's form inside a list: quoted, with unprintable characters escaped.</summary>
    public static string Quoted(string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var result = new StringBuilder().Append(quote);
        foreach (var point in Points(text))
        {
            var code = point.Length == 2 ? char.ConvertToUtf32(point, 0) : point[0];
            result.Append(point[0] switch
            {
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                var first when first == quote => "\\" + quote,
                _ when IsPrintable(code) => point,
                _ when code < 0x100 => $"\\x{code:x2}",
                _ when code < 0x10000 => $"\\u{code:x4}",
                _ => $"\\U{code:x8}",
            });
        }
        return result.Append(quote).ToString();
    }

    /// <summary>Whether Python prints a code point without an escape.</summary>
    public static bool IsPrintable(int code) => code == ' ' || CharUnicodeInfo.GetUnicodeCategory(code) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse
        or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);
}
