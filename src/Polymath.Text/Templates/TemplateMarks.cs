using System.Text.RegularExpressions;

namespace Polymath.Text.Templates;

/// <summary>
/// Finds the special tokens in a rendering: the tokenizer's, and texts that look like one, because a template may use tokens that the
/// tokenizer lacks.
/// </summary>
/// <param name="specials">The special tokens.</param>
internal sealed partial class TemplateMarks(IReadOnlyCollection<string> specials)
{
    private readonly List<string> known = [.. specials.Where(token => token.Length > 0).Distinct()];

    /// <summary>The first mark in a part of a text; the longest of several at one place.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">The start of the part.</param>
    /// <param name="until">The place after its end.</param>
    internal (int Start, int End)? First(string text, int from, int until)
    {
        var match = Shape().Match(text, from, until - from);
        (int Start, int End)? best = match.Success ? (match.Index, match.Index + match.Length) : null;
        foreach (var token in known)
        {
            var length = Math.Min(until, (best?.Start ?? until) + token.Length) - from;
            var at = length < token.Length ? -1 : text.IndexOf(token, from, length, StringComparison.Ordinal);
            if (at >= 0 && (best is not { } other || at < other.Start || (at == other.Start && at + token.Length > other.End)))
                best = (at, at + token.Length);
        }
        return best;
    }

    /// <summary>All marks in a part of a text, in order.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">The start of the part.</param>
    /// <param name="until">The place after its end.</param>
    internal IEnumerable<(int Start, int End)> All(string text, int from, int until)
    {
        while (First(text, from, until) is { } mark)
        {
            yield return mark;
            from = mark.End;
        }
    }

    [GeneratedRegex(@"<[|｜][^<>|｜\s]{1,48}[|｜]?>|<[^<>|｜\s]{1,48}[|｜]>|</?s>|<(?:start|end)_of_turn>|<eos>", RegexOptions.CultureInvariant)]
    private static partial Regex Shape();
}
