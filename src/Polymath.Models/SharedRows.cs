namespace Polymath.Models;

/// <summary>
/// How rows lie that begin alike: their common beginning once, then what each of them has behind it, so that a prompt with several answers
/// is read once. The rows must follow one another.
/// </summary>
/// <param name="Segments">For each row that was given, the piece that holds its end.</param>
/// <param name="Roots">For each piece, the piece that it continues, or −1.</param>
internal sealed record SharedRows(int[] Segments, int[] Roots)
{
    // A shorter beginning, such as the marks that open every conversation, is not worth a piece of its own.
    private const int Least = 8;

    /// <summary>The layout that saves most tokens; null when no rows begin alike.</summary>
    /// <param name="rows">The rows' tokens.</param>
    internal static SharedRows? Of(IReadOnlyList<int[]> rows)
    {
        var segments = new int[rows.Count];
        var roots = new List<int>();
        for (var first = 0; first < rows.Count;)
        {
            var (count, common) = Group(rows, first);
            var root = common == 0 ? -1 : roots.Count;
            if (root >= 0) roots.Add(-1);
            for (var row = first; row < first + count; row++)
            {
                segments[row] = roots.Count;
                roots.Add(root);
            }
            first += count;
        }
        return roots.Count == rows.Count ? null : new SharedRows(segments, [.. roots]);
    }

    /// <summary>How many tokens of a row lie with the row before it.</summary>
    /// <param name="before">The row before.</param>
    /// <param name="row">The row.</param>
    internal static int Common(int[] before, int[] row)
    {
        // Something must be left of each.
        var most = Math.Min(before.Length, row.Length) - 1;
        var common = most <= 0 ? 0 : before.AsSpan(0, most).CommonPrefixLength(row.AsSpan(0, most));
        return common < Least ? 0 : common;
    }

    // The rows from a first one that share a beginning, as many as save most tokens, and its length; one row and 0 when there are none.
    private static (int Count, int Common) Group(IReadOnlyList<int[]> rows, int first)
    {
        int count = 1, common = 0;
        for (var next = first + 1; next < rows.Count; next++)
        {
            var shorter = Common(rows[first], rows[next]);
            if (count > 1) shorter = Math.Min(shorter, common);
            if (shorter * count <= common * (count - 1)) break;
            (count, common) = (count + 1, shorter);
        }
        return (count, common);
    }

    /// <summary>A batch of the rows.</summary>
    /// <param name="rows">The rows' tokens.</param>
    internal Batch Lay(IReadOnlyList<int[]> rows)
    {
        var pieces = new int[Roots.Length][];
        for (var row = 0; row < rows.Count; row++)
        {
            var root = Roots[Segments[row]];
            if (root >= 0) pieces[root] ??= Beginning(rows, row, root);
            pieces[Segments[row]] = root < 0 ? rows[row] : rows[row][pieces[root].Length..];
        }
        return Batch.Of(this, pieces);
    }

    private int[] Beginning(IReadOnlyList<int[]> rows, int first, int root)
    {
        var common = int.MaxValue;
        for (var row = first + 1; row < rows.Count && Roots[Segments[row]] == root; row++)
            common = Math.Min(common, Common(rows[first], rows[row]));
        return rows[first][..common];
    }
}
