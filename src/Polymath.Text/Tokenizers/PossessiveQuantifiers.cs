using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text;

/// <summary>
/// Rewrites possessive quantifiers (<c>a++</c>, <c>[x]*+</c>, <c>(y)?+</c>) as atomic groups (<c>(?&gt;a+)</c>), which .NET's engine has
/// instead.
/// </summary>
internal static partial class PossessiveQuantifiers
{
    /// <summary>The pattern with each possessive quantifier rewritten; unbalanced patterns are left to the engine to refuse.</summary>
    public static string ToAtomic(string pattern)
    {
        if (!pattern.Contains("++", StringComparison.Ordinal) && !pattern.Contains("*+", StringComparison.Ordinal)
            && !pattern.Contains("?+", StringComparison.Ordinal) && !pattern.Contains("}+", StringComparison.Ordinal))
            return pattern;
        var result = new StringBuilder(pattern.Length + 16);
        var opened = new Stack<int>();
        var atom = -1;
        for (var i = 0; i < pattern.Length;)
        {
            var unit = pattern[i];
            if (unit is '+' or '*' or '?' && atom >= 0 && i + 1 < pattern.Length && pattern[i + 1] == '+')
            {
                result.Insert(atom, "(?>").Append(unit).Append(')');
                atom = -1;
                i += 2;
                continue;
            }

            if (unit == '{' && atom >= 0 && Count().Match(pattern, i) is { Success: true } count)
            {
                result.Append(count.Value);
                i += count.Length;
                // After a count, Oniguruma reads a plus as another quantifier, not as possessive.
                if (i < pattern.Length && pattern[i] == '+')
                    result.Insert(atom, "(?:").Append(')');
                continue;
            }

            if (unit is '+' or '*' or '?' or '{' or '}')
            {
                result.Append(unit);
                i++;
                continue;
            }

            var end = AtomEnd(pattern, i);
            if (unit == '(')
            {
                opened.Push(result.Length);
                end = GroupHeadEnd(pattern, i);
            }

            atom = unit switch { '(' => -1, ')' => opened.TryPop(out var start) ? start : -1, '|' or '^' or '$' => -1, _ => result.Length };
            result.Append(pattern, i, end - i);
            i = end;
        }

        return result.ToString();
    }

    // The '?' in (?:, (?i: or (?! belongs to the bracket and is not a quantifier.
    private static int GroupHeadEnd(string pattern, int start) =>
        start + 1 < pattern.Length && pattern[start + 1] == '?' ? start + 2 : start + 1;

    private static int AtomEnd(string pattern, int start)
    {
        if (pattern[start] == '\\')
        {
            var brace = start + 2 < pattern.Length && pattern[start + 1] is 'p' or 'P' && pattern[start + 2] == '{'
                ? pattern.IndexOf('}', start)
                : -1;
            return brace > 0 ? brace + 1 : Math.Min(start + 2, pattern.Length);
        }

        if (pattern[start] != '[')
            return start + 1;
        var i = start + 1;
        if (i < pattern.Length && pattern[i] == '^')
            i++;
        if (i < pattern.Length && pattern[i] == ']')
            i++;
        while (i < pattern.Length && pattern[i] != ']')
            i += pattern[i] == '\\' ? 2 : 1;
        return Math.Min(i + 1, pattern.Length);
    }

    [GeneratedRegex(@"\G\{\d*(,\d*)?\}")]
    private static partial Regex Count();
}
