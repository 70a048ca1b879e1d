using System.Collections.Concurrent;
using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Selects the part of a value that a pattern finds.</summary>
internal sealed class FieldPattern
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);
    private static readonly ConcurrentDictionary<string, Regex> Known = new(StringComparer.Ordinal);

    /// <summary>The pattern's first group, or its whole match when it has no group; empty when nothing is found.</summary>
    /// <param name="value">The value.</param>
    /// <param name="pattern">The pattern.</param>
    /// <exception cref="InputException">The pattern takes too long.</exception>
    public static string Part(string value, string pattern)
    {
        var expression = Known.GetOrAdd(pattern, text => new Regex(text, RegexOptions.CultureInvariant, Patience));
        try
        {
            var match = expression.Match(value);
            if (!match.Success)
                return "";
            return match.Groups.Count > 1 ? match.Groups[1].Value : match.Value;
        }
        catch (RegexMatchTimeoutException)
        {
            throw new InputException(
                $"The pattern '{pattern}' of a field takes longer than {Patience.TotalSeconds:F0} s on one value. Write a simpler one: "
                    + "nested repetitions such as (a+)+ try every way to divide a text.");
        }
    }
}
