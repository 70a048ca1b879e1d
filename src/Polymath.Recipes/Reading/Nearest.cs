namespace Polymath.Recipes;

/// <summary>Finds the known name that was probably meant. Names that a faulty recipe leaves out are no names.</summary>
public static class Nearest
{
    private const int LongestName = 100;

    /// <summary>The known name closest to the written one, when it is close enough; else null.</summary>
    public static string? To(string written, IEnumerable<string> known)
    {
        if (written.Length is 0 or > LongestName)
            return null;
        var best = known.OfType<string>().Where(name => name.Length <= LongestName)
            .Select(name => (Name: name, Distance: Distance(written.ToUpperInvariant(), name.ToUpperInvariant())))
            .OrderBy(pair => pair.Distance)
            .FirstOrDefault();
        var allowed = Math.Max(1, Math.Max(written.Length, best.Name?.Length ?? 0) / 3);
        return best.Name is not null && best.Distance <= allowed && best.Distance < written.Length ? best.Name : null;
    }

    /// <summary>A hint: the name that was probably meant, or else all names.</summary>
    /// <param name="written">What was written.</param>
    /// <param name="known">The known names.</param>
    /// <param name="what">The kind of names, in the plural, such as <c>keys</c>.</param>
    public static string Hint(string written, IReadOnlyCollection<string> known, string what)
    {
        known = [.. known.OfType<string>()];
        if (To(written, known) is { } near)
            return $"did you mean '{near}'?";
        return known.Count == 0 ? $"there are no {what} here" : $"the {what} here are {Listed(known)}";
    }

    /// <summary>A list of names, at most twenty of them.</summary>
    public static string Listed(IReadOnlyCollection<string> names) =>
        string.Join(", ", names.Take(20)) + (names.Count > 20 ? $" and {names.Count - 20} more" : "");

    /// <summary>
    /// The number of insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
    /// </summary>
    private static int Distance(string left, string right)
    {
        var rows = new int[left.Length + 1, right.Length + 1];
        for (var i = 0; i <= left.Length; i++)
            rows[i, 0] = i;
        for (var j = 0; j <= right.Length; j++)
            rows[0, j] = j;
        for (var i = 1; i <= left.Length; i++)
        {
            for (var j = 1; j <= right.Length; j++)
            {
                var replaced = rows[i - 1, j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
                rows[i, j] = Math.Min(replaced, Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1);
                if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                    rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
            }
        }
        return rows[left.Length, right.Length];
    }
}
