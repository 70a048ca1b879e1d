using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Keeps the rows that meet conditions.</summary>
internal static class RowFilter
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Applies filters in order.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="filters">The filters.</param>
    /// <param name="fieldsOf">The fields of a row.</param>
    /// <param name="name">The source's name, for messages.</param>
    /// <param name="log">Takes, for each filter, how many rows it removed.</param>
    /// <exception cref="InputException">A field does not exist, or a pattern is wrong or takes too long.</exception>
    public static List<T> Apply<T>(
        List<T> rows,
        IReadOnlyList<FilterSpec>? filters,
        Func<T, IReadOnlyDictionary<string, string>> fieldsOf,
        string name,
        List<string> log)
    {
        foreach (var (index, filter) in (filters ?? []).Index())
        {
            if (rows.Count == 0)
                break;
            var where = $"data '{name}': filter {index + 1} (field '{filter.Field}')";
            if (!fieldsOf(rows[0]).ContainsKey(filter.Field))
                throw new InputException($"{where}: there is no such field. Found: {string.Join(", ", fieldsOf(rows[0]).Keys)}.");
            var before = rows.Count;
            rows = Keep(rows, filter, row => fieldsOf(row)[filter.Field], where);
            log.Add($"filter {index + 1} (field '{filter.Field}') removed {before - rows.Count} of {before}");
        }

        return rows;
    }

    private static List<T> Keep<T>(List<T> rows, FilterSpec filter, Func<T, string> valueOf, string where)
    {
        var matches = Pattern(filter.Matches, where);
        var lacks = Pattern(filter.Lacks, where);
        var allowed = filter.In?.ToHashSet(StringComparer.Ordinal);
        var refused = filter.NotIn?.ToHashSet(StringComparer.Ordinal);
        List<T> kept;
        try
        {
            kept = rows.FindAll(row =>
            {
                var value = valueOf(row);
                return (matches?.IsMatch(value) ?? true) && !(lacks?.IsMatch(value) ?? false) && (allowed?.Contains(value) ?? true)
                    && !(refused?.Contains(value) ?? false) && LengthFits(value, filter);
            });
        }
        catch (RegexMatchTimeoutException fault)
        {
            throw new InputException(
                $"{where}: the pattern '{fault.Pattern}' takes more than {Patience.TotalSeconds} seconds on one value. Write it without "
                    + "nested repetitions.",
                fault);
        }

        if (filter.MostFrequent is not { } most)
            return kept;
        var frequent = kept.CountBy(valueOf, StringComparer.Ordinal)
            .OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal)
            .Take(most).Select(entry => entry.Key).ToHashSet(StringComparer.Ordinal);
        return kept.FindAll(row => frequent.Contains(valueOf(row)));
    }

    private static bool LengthFits(string value, FilterSpec filter)
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
