using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A pattern of a tokenizer file: a literal text or a regular expression, matched by code points rather than by UTF-16 units.
/// </summary>
internal sealed class TextPattern
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly string? literal;
    private readonly Regex? regex;
    private readonly IReadOnlyList<Func<int, bool>> sets;

    // For each code point beyond the first 65,536 that was seen, a smaller one that the pattern treats in the same way, because .NET's
    // engine works on UTF-16 units.
    private readonly ConcurrentDictionary<int, char> standIns = [];
    private readonly ConcurrentDictionary<string, char> standInByKind = [];

    private TextPattern(string? literal, Regex? regex, IReadOnlyList<Func<int, bool>> sets) =>
        (this.literal, this.regex, this.sets) = (literal, regex, sets);

    /// <summary>The scanner that does the same work as the regular expression, if there is one.</summary>
    public WordScanner? Scanner { get; private init; }

    /// <summary>The literal text, if the pattern is one.</summary>
    public string? Literal => literal;

    /// <summary>A pattern that is a literal text.</summary>
    public static TextPattern Of(string literal) => new(literal, null, []);

    /// <summary>Reads <c>{"String": ...}</c> or <c>{"Regex": ...}</c>.</summary>
    public static TextPattern Read(JsonPart part)
    {
        if (part.Element.ValueKind == System.Text.Json.JsonValueKind.String)
            return new(part.Text(), null, []);
        if (part.Find("String") is { } literal)
            return new(literal.Text(), null, []);
        var source = part.Get("Regex");
        return OfRegex(source.Text())
            ?? throw source.Fault($"the pattern {source.Text()} uses a feature that is not supported in regular expressions here");
    }

    /// <summary>A pattern that is a regular expression; null when it is not supported.</summary>
    public static TextPattern? OfRegex(string pattern)
    {
        try
        {
            var (translated, sets) = PatternClasses.Translate(PossessiveQuantifiers.ToAtomic(pattern));
            var regex = new Regex(translated, RegexOptions.CultureInvariant, Patience);
            return new(null, regex, sets) { Scanner = WordScanner.For(pattern) };
        }
        catch (Exception fault) when (fault is ArgumentException or FormatException)
        {
            return null;
        }
    }

    /// <summary>The matches in a text, from left to right, as starts and ends in UTF-16 units; empty ones are left out.</summary>
    /// <exception cref="InputException">The pattern takes too long on this text.</exception>
    public List<(int Start, int End)> Matches(ReadOnlySpan<char> text)
    {
        var matches = new List<(int, int)>();
        if (literal is not null)
        {
            if (literal.Length == 0)
                return matches;
            for (int at = 0, found; (found = text[at..].IndexOf(literal, StringComparison.Ordinal)) >= 0; at += found + literal.Length)
                matches.Add((at + found, at + found + literal.Length));
            return matches;
        }

        try
        {
            var (shadow, starts) = Shadow(text);
            foreach (var match in regex!.EnumerateMatches(shadow))
            {
                if (match.Length > 0)
                    matches.Add(starts is null
                        ? (match.Index, match.Index + match.Length)
                        : (starts[match.Index], starts[match.Index + match.Length]));
            }
        }
        catch (RegexMatchTimeoutException fault)
        {
            throw new InputException(
                $"the tokenizer's pattern {regex} takes too long on a text of {text.Length} characters. Split the text into shorter rows.",
                fault);
        }

        return matches;
    }

    /// <summary>Replaces every match.</summary>
    public string Replace(string text, string content)
    {
        if (literal is not null)
            return literal.Length == 0 ? text : text.Replace(literal, content, StringComparison.Ordinal);
        var result = new StringBuilder(text.Length);
        var at = 0;
        foreach (var (start, end) in Matches(text))
        {
            result.Append(text, at, start - at).Append(content);
            at = end;
        }

        return result.Append(text, at, text.Length - at).ToString();
    }

    // The text with one unit per code point, and the start of each in the original; the text itself when it already has this form.
    private (string Shadow, int[]? Starts) Shadow(ReadOnlySpan<char> text)
    {
        if (text.IndexOfAnyInRange('\uD800', '\uDBFF') < 0)
            return (text.ToString(), null);
        var shadow = new StringBuilder(text.Length);
        var starts = new List<int>(text.Length + 1);
        for (var i = 0; i < text.Length;)
        {
            starts.Add(i);
            var status = Rune.DecodeFromUtf16(text[i..], out var rune, out var width);
            shadow.Append(status != System.Buffers.OperationStatus.Done || rune.IsBmp ? text[i] : standIns.GetOrAdd(rune.Value, StandIn));
            i += width;
        }

        starts.Add(text.Length);
        return (shadow.ToString(), [.. starts]);
    }

    // The last character of the same category in the same classes of the pattern, or else of the same category.
    private char StandIn(int code)
    {
        var category = CharUnicodeInfo.GetUnicodeCategory(code);
        var kind = $"{category} {string.Concat(sets.Select(set => set(code) ? '1' : '0'))}";
        return standInByKind.GetOrAdd(kind, _ =>
        {
            var other = '\uFFFD';
            for (var unit = 0xFFFC; unit > 0x7F; unit--)
            {
                if (char.IsSurrogate((char)unit) || char.GetUnicodeCategory((char)unit) != category)
                    continue;
                if (sets.All(set => set(unit) == set(code)))
                    return (char)unit;
                other = other == '\uFFFD' ? (char)unit : other;
            }

            return other;
        });
    }
}
