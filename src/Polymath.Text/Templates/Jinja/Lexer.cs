using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The kinds of tokens.</summary>
internal enum TokenKind
{
    Data,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    Text,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token of a template.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Value">Its text; for a string literal, its value.</param>
/// <param name="Line">Its line, from 1.</param>
internal readonly record struct JinjaToken(TokenKind Kind, string Value, int Line)
{
    /// <summary>Whether it is this operator or punctuation.</summary>
    public bool Is(string sign) => Kind == TokenKind.Operator && Value == sign;

    /// <summary>Whether it is this word.</summary>
    public bool IsName(string word) => Kind == TokenKind.Name && Value == word;

    /// <summary>Its form in messages.</summary>
    public string Shown => Kind switch
    {
        TokenKind.End => "the end of the template",
        TokenKind.BlockEnd => "'%}'",
        TokenKind.VariableEnd => "'}}'",
        TokenKind.Data => "text",
        _ => $"'{Value}'",
    };
}

/// <summary>
/// Cuts a template into tokens by Jinja's rules with <c>trim_blocks</c> and <c>lstrip_blocks</c>, as transformers sets them.
/// </summary>
internal sealed partial class Lexer
{
    private static readonly string[] LongSigns = ["//", "**", "==", "!=", ">=", "<="];
    private readonly string source;
    private readonly List<JinjaToken> tokens = [];
    private readonly Stack<char> open = new();
    private int at, line = 1, counted;
    private bool lineStarting = true;

    private Lexer(string source)
    {
        // One newline at the end belongs to the file and not to the template.
        var text = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        this.source = text.EndsWith('\n') ? text[..^1] : text;
    }

    /// <summary>The tokens of a template.</summary>
    public static List<JinjaToken> Read(string source)
    {
        var lexer = new Lexer(source);
        try
        {
            lexer.Run();
        }
        catch (JinjaFault fault) when (fault.Line == 0)
        {
            fault.Line = lexer.Line();
            throw;
        }
        return lexer.tokens;
    }

    private void Run()
    {
        while (at < source.Length)
        {
            var begin = NextBegin();
            if (begin < 0)
            {
                Add(TokenKind.Data, source[at..]);
                at = source.Length;
                break;
            }
            var sign = begin + 2 < source.Length && source[begin + 2] is '-' or '+' ? source[begin + 2] : '\0';
            var kind = source[begin + 1];
            Data(source[at..begin], sign, kind == '{');
            at = begin;
            if (kind == '%' && RawBegin().Match(source, at) is { Success: true } raw)
            {
                Pass(raw.Length);
                Raw();
                continue;
            }
            Pass(sign == '\0' ? 2 : 3);
            if (kind == '#')
                Comment();
            else
                Tag(kind == '%');
        }
        Add(TokenKind.End, "");
    }

    private int NextBegin()
    {
        for (var i = source.IndexOf('{', at); i >= 0 && i + 1 < source.Length; i = source.IndexOf('{', i + 1))
        {
            if (source[i + 1] is '{' or '%' or '#')
                return i;
        }
        return -1;
    }

    /// <summary>Adds text before a tag, without the white space that the tag removes.</summary>
    private void Data(string text, char sign, bool variable)
    {
        if (sign == '-')
            text = PythonText.TrimEnd(text);
        else if (sign != '+' && !variable)
        {
            var start = text.LastIndexOf('\n') + 1;
            if ((start > 0 || lineStarting) && text.AsSpan(start).ToString().All(PythonText.IsSpace))
                text = text[..start];
        }
        if (text.Length > 0)
            Add(TokenKind.Data, text);
    }

    private void Comment()
    {
        var end = source.IndexOf("#}", at, StringComparison.Ordinal);
        if (at == source.Length)
            return;
        if (end < 0)
            throw new JinjaFault("a comment is not closed", "Add #}");
        var sign = end > at ? source[end - 1] : '\0';
        Pass(end + 2 - at);
        After(sign, trimNewline: true);
    }

    private void Raw()
    {
        // Jinja allows a raw block or a comment at the very end.
        if (at == source.Length)
            return;
        var end = RawEnd().Match(source, at);
        if (!end.Success)
            throw new JinjaFault("a raw block is not closed", "Add {% endraw %}");
        Data(source[at..end.Index], end.Groups[1].Value is { Length: 1 } sign ? sign[0] : '\0', variable: false);
        Pass(end.Index + end.Length - at);
    }

    /// <summary>Removes the white space after an end: all of it after a minus, one newline after a block.</summary>
    private void After(char sign, bool trimNewline)
    {
        var stop = at;
        if (sign == '-')
            while (stop < source.Length && PythonText.IsSpace(source[stop])) stop++;
        else if (trimNewline && sign != '+' && stop < source.Length && source[stop] == '\n')
            stop++;
        Pass(stop - at);
    }

    private void Tag(bool block)
    {
        Add(block ? TokenKind.BlockBegin : TokenKind.VariableBegin, "");
        var end = block ? "%}" : "}}";
        open.Clear();
        while (true)
        {
            while (at < source.Length && PythonText.IsSpace(source[at])) Pass(1);
            if (at >= source.Length)
                throw new JinjaFault($"a tag is not closed", $"Add {end}");
            var signed = source[at] == '-' || (block && source[at] == '+') ? 1 : 0;
            if (open.Count == 0 && string.CompareOrdinal(
                source,
                at + signed,
                end,
                0,
                2) == 0)
            {
                var sign = signed == 1 ? source[at] : '\0';
                Add(block ? TokenKind.BlockEnd : TokenKind.VariableEnd, "");
                Pass(2 + signed);
                After(sign, block);
                return;
            }
            Expression();
        }
    }

    private void Expression()
    {
        if (Float().Match(source, at) is { Success: true } real)
            Take(TokenKind.Float, real.Value);
        else if (Integer().Match(source, at) is { Success: true } whole)
            Take(TokenKind.Integer, whole.Value);
        else if (Word().Match(source, at) is { Success: true } word)
        {
            if (char.IsDigit(word.Value[0]))
                throw new JinjaFault($"'{word.Value}' is not a name");
            Take(TokenKind.Name, word.Value);
        }
        else if (source[at] is '\'' or '"')
            Literal(source[at]);
        else
            Sign();
    }

    private void Sign()
    {
        var text = LongSigns.FirstOrDefault(sign => string.CompareOrdinal(
            source,
            at,
            sign,
            0,
            2) == 0) ?? source[at].ToString();
        if (text.Length == 1 && !"+-/*%~[](){}><=.:|,;".Contains(text[0], StringComparison.Ordinal))
            throw new JinjaFault($"the character '{text}' has no meaning here");
        if (text[0] is '(' or '[' or '{')
            open.Push(text[0] switch { '(' => ')', '[' => ']', _ => '}' });
        else if (text[0] is ')' or ']' or '}' && (!open.TryPop(out var wanted) || wanted != text[0]))
            throw new JinjaFault($"'{text}' closes nothing");
        Take(TokenKind.Operator, text);
    }

    private void Literal(char quote)
    {
        var end = at + 1;
        while (end < source.Length && source[end] != quote) end += source[end] == '\\' ? 2 : 1;
        if (end >= source.Length)
            throw new JinjaFault("a text is not closed", $"Add {quote}");
        Add(TokenKind.Text, Unescape(source[(at + 1)..end]));
        Pass(end + 1 - at);
    }

    /// <summary>The value of a string literal, with Python's escapes; an unknown escape does not change.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
            return text;
        var result = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                result.Append(text[i]);
                continue;
            }
            var code = text[++i];
            if ("\\'\"abfnrtv\n".IndexOf(code, StringComparison.Ordinal) is >= 0 and var simple)
                result.Append(simple == 10 ? "" : "\\'\"\a\b\f\n\r\t\v"[simple].ToString());
            else if (code is >= '0' and <= '7')
            {
                var stop = i;
                while (stop < text.Length && stop < i + 3 && text[stop] is >= '0' and <= '7') stop++;
                result.Append((char)Convert.ToInt32(text[i..stop], 8));
                i = stop - 1;
            }
            else if (code is 'x' or 'u' or 'U')
            {
                var digits = code switch { 'x' => 2, 'u' => 4, _ => 8 };
                if (i + digits >= text.Length
                    || !int.TryParse(text.AsSpan(i + 1, digits), NumberStyles.AllowHexSpecifier, null, out var point)
                    || point is < 0 or > 0x10FFFF)
                    throw new JinjaFault($"'\\{code}' needs {digits} hexadecimal digits");
                result.Append(point is >= 0xD800 and <= 0xDFFF ? ((char)point).ToString() : char.ConvertFromUtf32(point));
                i += digits;
            }
            else
                result.Append('\\').Append(code);
        }
        return result.ToString();
    }

    private void Take(TokenKind kind, string value)
    {
        Add(kind, value);
        Pass(value.Length);
    }

    private void Add(TokenKind kind, string value) => tokens.Add(new(kind, value, Line()));

    private void Pass(int count)
    {
        at += count;
        if (count > 0)
            lineStarting = source[at - 1] == '\n';
    }

    private int Line()
    {
        line += source.AsSpan(counted, Math.Min(at, source.Length) - counted).Count('\n');
        counted = Math.Min(at, source.Length);
        return line;
    }

    [GeneratedRegex(@"\G\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})")]
    private static partial Regex RawBegin();

    [GeneratedRegex(@"\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}\n?)")]
    private static partial Regex RawEnd();

    [GeneratedRegex(@"\G(?<!\.)(?:[0-9]+_)*[0-9]+(?:(?:\.(?:[0-9]+_)*[0-9]+)?[eE][+\-]?(?:[0-9]+_)*[0-9]+|\.(?:[0-9]+_)*[0-9]+)")]
    private static partial Regex Float();

    [GeneratedRegex(@"\G(?:0[bB](?:_?[0-1])+|0[oO](?:_?[0-7])+|0[xX](?:_?[0-9a-fA-F])+|[1-9](?:_?[0-9])*|0(?:_?0)*)")]
    private static partial Regex Integer();

    [GeneratedRegex(@"\G\w+")]
    private static partial Regex Word();
}
