using System.Globalization;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>Reads the signs of a template one after the other, and knows where it is.</summary>
/// <param name="source">The whole template, or a filter's text within it.</param>
/// <param name="offset">Where that text begins in the template.</param>
internal sealed class BlockScanner(string source, int offset = 0)
{
    /// <summary>The place within the source.</summary>
    public int At { get; set; }

    /// <summary>The place within the template.</summary>
    public int Position => offset + At;

    public bool AtEnd => At >= source.Length;

    public char Now => AtEnd ? '\0' : source[At];

    public InputException Fault(string problem, int? position = null) =>
        new($"The template, at character {(position ?? Position) + 1}: {problem}");

    public void SkipSpace()
    {
        while (!AtEnd && char.IsWhiteSpace(Now)) At++;
    }

    /// <summary>Takes a sign after white space, if it is there.</summary>
    public bool Takes(string sign)
    {
        SkipSpace();
        if (!source.AsSpan(At).StartsWith(sign, StringComparison.Ordinal)) return false;
        At += sign.Length;
        return true;
    }

    public void Expect(string sign, string why)
    {
        if (!Takes(sign)) throw Fault($"'{sign}' is expected {why}, but {Shown()} is there.");
    }

    /// <summary>What is at this place, for a message.</summary>
    public string Shown() => AtEnd ? "the end" : $"'{source.AsSpan(At, Math.Min(12, source.Length - At))}'";

    /// <summary>A name of letters, digits and underscores; empty when there is none.</summary>
    public string Word()
    {
        SkipSpace();
        var start = At;
        while (!AtEnd && (char.IsLetterOrDigit(Now) || Now == '_')) At++;
        return source[start..At];
    }

    public bool AtQuote
    {
        get
        {
            SkipSpace();
            return Now is '"' or '\'';
        }
    }

    /// <summary>A quoted text, with the escapes of Python's strings.</summary>
    public string Quoted()
    {
        SkipSpace();
        var (start, quote, text) = (Position, Now, new StringBuilder());
        if (quote is not ('"' or '\'')) throw Fault($"a text in quotes is expected, but {Shown()} is there.");
        for (At++; Now != quote || AtEnd; At++)
        {
            if (AtEnd) throw Fault($"the quote {quote} is never closed.", start);
            if (Now == '\\') Escaped(text);
            else text.Append(Now);
        }
        At++;
        return text.ToString();
    }

    public int? Whole()
    {
        SkipSpace();
        var start = At;
        if (Now is '-' or '+') At++;
        while (char.IsAsciiDigit(Now)) At++;
        if (int.TryParse(source.AsSpan(start, At - start), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value))
            return value;
        At = start;
        return null;
    }

    private void Escaped(StringBuilder text)
    {
        At++;
        var digits = Now switch { 'x' => 2, 'u' => 4, 'U' => 8, _ => 0 };
        if (digits > 0)
        {
            var code = source.AsSpan(At + 1, Math.Min(digits, source.Length - At - 1));
            if (!int.TryParse(code, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var rune) || !Rune.IsValid(rune))
                throw Fault($"\\{Now} needs {digits} hexadecimal digits.");
            text.Append(new Rune(rune));
            At += digits;
            return;
        }
        text.Append(Now switch
        {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            '\n' => "",
            '\\' or '\'' or '"' => Now.ToString(),
            _ => "\\" + Now,
        });
    }
}
