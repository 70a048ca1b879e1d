using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A condition on one field, prepared for many rows.</summary>
internal sealed class RowCondition
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly FilterSpec filter;
    private readonly string where;
    private readonly Regex? matches, lacks;
    private readonly HashSet<string>? allowed, refused;

    /// <summary>Prepares a condition.</summary>
    /// <param name="filter">The condition.</param>
    /// <param name="where">Its name in messages.</param>
    /// <exception cref="InputException">A pattern is wrong.</exception>
    public RowCondition(FilterSpec filter, string where)
    {
        (this.filter, this.where) = (filter, where);
        (matches, lacks) = (Pattern(filter.Matches, where), Pattern(filter.Lacks, where));
        (allowed, refused) = (filter.In?.ToHashSet(StringComparer.Ordinal), filter.NotIn?.ToHashSet(StringComparer.Ordinal));
    }

    /// <summary>Whether a value meets the condition, except for the rule about the most frequent values.</summary>
    /// <param name="value">The value.</param>
    /// <exception cref="InputException">A pattern takes too long.</exception>
    public bool Holds(string value)
    {
        try
        {
            return (matches?.IsMatch(value) ?? true) && !(lacks?.IsMatch(value) ?? false) && (allowed?.Contains(value) ?? true)
                && !(refused?.Contains(value) ?? false) && LengthFits(value);
        }
        catch (RegexMatchTimeoutException fault)
        {
            throw new InputException(
                $"{where}: the pattern '{fault.Pattern}' takes more than {Patience.TotalSeconds} seconds on one value. Write it without "
                    + "nested repetitions.",
                fault);
        }
    }

    private bool LengthFits(string value)
    {
        if (filter.MinimumLength is null && filter.MaximumLength is null)
            return true;
        var length = CodePoints.Count(value);
        return length >= (filter.MinimumLength ?? 0) && length <= (filter.MaximumLength ?? int.MaxValue);
    }

    private static Regex? Pattern(string? pattern, string where)
    {
        try
        {
            return pattern is null ? null : new Regex(pattern, RegexOptions.CultureInvariant, Patience);
        }
        catch (ArgumentException fault)
        {
            throw new InputException($"{where}: '{pattern}' is not a regular expression: {fault.Message}", fault);
        }
    }
}
