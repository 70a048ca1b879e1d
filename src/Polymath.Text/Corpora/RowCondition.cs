using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>A condition on one field, made ready to be asked of many rows.</summary>
internal sealed class RowCondition
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly FilterSpec _filter;
    private readonly string _where;
    private readonly Regex? _matches, _lacks;
    private readonly HashSet<string>? _allowed, _refused;

    /// <summary>Makes a condition ready.</summary>
    /// <param name="filter">The condition.</param>
    /// <param name="where">What messages call it.</param>
    /// <exception cref="InputException">A pattern is wrong.</exception>
    public RowCondition(FilterSpec filter, string where)
    {
        (_filter, _where) = (filter, where);
        (_matches, _lacks) = (Pattern(filter.Matches, where), Pattern(filter.Lacks, where));
        (_allowed, _refused) = (filter.In?.ToHashSet(StringComparer.Ordinal), filter.NotIn?.ToHashSet(StringComparer.Ordinal));
    }

    /// <summary>Whether a value meets the condition, the number of rows with the same value apart.</summary>
    /// <param name="value">The value.</param>
    /// <exception cref="InputException">A pattern takes too long.</exception>
    public bool Holds(string value)
    {
        try
        {
            return (_matches?.IsMatch(value) ?? true) && !(_lacks?.IsMatch(value) ?? false) && (_allowed?.Contains(value) ?? true)
                && !(_refused?.Contains(value) ?? false) && LengthFits(value);
        }
        catch (RegexMatchTimeoutException fault)
        {
            throw new InputException(
                $"{_where}: the pattern '{fault.Pattern}' takes more than {Patience.TotalSeconds} seconds on one value. Write it without "
                    + "nested repetitions.",
                fault);
        }
    }

    private bool LengthFits(string value)
    {
        if (_filter.MinimumLength is null && _filter.MaximumLength is null)
            return true;
        var length = CodePoints.Count(value);
        return length >= (_filter.MinimumLength ?? 0) && length <= (_filter.MaximumLength ?? int.MaxValue);
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
