using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Keeps the rows that meet the conditions of a source.</summary>
/// <param name="filters">The conditions, in order; null for none.</param>
/// <param name="name">The source's name, for messages.</param>
internal sealed class RowFilter(IReadOnlyList<FilterSpec>? filters, string name)
{
    private readonly List<(FilterSpec Filter, RowCondition Condition, string Where)> conditions =
        [.. (filters ?? []).Index()
            .Select(entry => Ready(entry.Item, $"data '{name}': filter {entry.Index + 1} (field '{entry.Item.Field}')"))];

    private readonly int[] removed = new int[filters?.Count ?? 0];

    /// <summary>The number of rows that were removed before their shape was read.</summary>
    public int Removed => removed.Sum();

    /// <summary>
    /// Whether a row of a file passes the conditions on its columns, before its shape is read. A condition on the most frequent values and
    /// all conditions after it are checked when all rows are read, and so are conditions on fields of the shape.
    /// </summary>
    /// <param name="columnOf">A column's value; null when the row has no such column.</param>
    /// <exception cref="InputException">A pattern takes too long.</exception>
    public bool Passes(Func<string, string?> columnOf)
    {
        foreach (var (index, (filter, condition, _)) in conditions.Index())
        {
            if (filter.MostFrequent is not null)
                return true;
            if (columnOf(filter.Field) is not { } value || condition.Holds(value))
                continue;
            removed[index]++;
            return false;
        }
        return true;
    }

    /// <summary>Applies the conditions in order.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="fieldsOf">The fields of a row; one that is missing is empty.</param>
    /// <param name="known">Whether rows have a field of that name.</param>
    /// <param name="log">Receives the number of rows that each condition removed.</param>
    /// <exception cref="InputException">A field does not exist, or a pattern takes too long.</exception>
    public List<T> Apply<T>(List<T> rows, Func<T, IReadOnlyDictionary<string, string>> fieldsOf, Func<string, bool> known, List<string> log)
    {
        foreach (var (index, (filter, condition, where)) in conditions.Index())
        {
            if (rows.Count > 0 && !known(filter.Field))
                throw new InputException($"{where}: there is no such field. Found: {string.Join(", ", fieldsOf(rows[0]).Keys)}.");
            var before = rows.Count + removed[index];
            if (before == 0)
                break;
            string ValueOf(T row) => fieldsOf(row).TryGetValue(filter.Field, out var value) ? value : "";
            rows = rows.FindAll(row => condition.Holds(ValueOf(row)));
            if (filter.MostFrequent is { } most)
                rows = MostFrequent(rows, ValueOf, most);
            log.Add($"filter {index + 1} (field '{filter.Field}') removed {before - rows.Count} of {before}");
        }
        return rows;
    }

    private static List<T> MostFrequent<T>(List<T> rows, Func<T, string> valueOf, int most)
    {
        var frequent = rows.CountBy(valueOf, StringComparer.Ordinal)
            .OrderByDescending(entry => entry.Value).ThenBy(entry => entry.Key, StringComparer.Ordinal)
            .Take(most).Select(entry => entry.Key).ToHashSet(StringComparer.Ordinal);
        return rows.FindAll(row => frequent.Contains(valueOf(row)));
    }

    private static (FilterSpec, RowCondition, string) Ready(FilterSpec filter, string where) =>
        (filter, new RowCondition(filter, where), where);
}
