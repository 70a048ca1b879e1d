using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>How scores become weights: scale·(query·key), with an optional soft cap: cap·tanh(x/cap) (Gemma 2).</summary>
/// <param name="Scale">The scale of the scores.</param>
/// <param name="SoftCap">The cap, or 0 for none.</param>
public sealed record AttentionForm(double Scale, double SoftCap = 0);

/// <summary>A bias of scores by the distance of the key from the query (ALiBi, T5's relative positions).</summary>
/// <param name="Table">[heads, distances]; it may require a gradient.</param>
/// <param name="Zero">The column of the distance 0; a key d places after its query uses the column Zero + d.</param>
public sealed record DistanceBias(Tensor Table, int Zero);

/// <summary>
/// The keys that each query sees, over rows that are packed end to end: query q of a row sees the row's keys First[q] to Last[q]
/// (exclusive), counted from the row's first key. Several rows may begin alike: their common beginning is a row of its own, whose keys come
/// before the keys of each of them. All patterns are such spans: causal, a sliding window, a prefix that is read in both
/// directions, the whole row, another text.
/// </summary>
public sealed class Reach
{
    private readonly int longestKeys;

    private Reach(int[] queryOffsets, int[] keyOffsets, int[]? roots)
    {
        (QueryOffsets, KeyOffsets, Roots) = (queryOffsets, keyOffsets, roots);
        (First, Last) = (new int[queryOffsets[^1]], new int[queryOffsets[^1]]);
        for (var r = 0; r < Rows; r++) longestKeys = Math.Max(longestKeys, KeysOf(r));
        TreeOffsets = roots is null
            ? [.. Enumerable.Range(0, Rows + 1)]
            : [.. Enumerable.Range(0, Rows).Where(r => roots[r] < 0), Rows];
    }

    /// <summary>Row r's queries are QueryOffsets[r] to QueryOffsets[r + 1].</summary>
    public int[] QueryOffsets { get; }

    /// <summary>Row r's keys are KeyOffsets[r] to KeyOffsets[r + 1].</summary>
    public int[] KeyOffsets { get; }

    /// <summary>
    /// For each row, the row that holds the beginning of its keys, or −1; null when no row has one. The rows that begin alike follow the
    /// row of their beginning.
    /// </summary>
    public int[]? Roots { get; }

    /// <summary>The rows TreeOffsets[t] to TreeOffsets[t + 1] are a beginning and those that follow it, or a single row.</summary>
    internal int[] TreeOffsets { get; }

    /// <summary>How many keys of a row lie in the row of its beginning.</summary>
    /// <param name="row">The row.</param>
    internal int BegunOf(int row) => Roots is null || Roots[row] < 0 ? 0 : KeyOffsets[Roots[row] + 1] - KeyOffsets[Roots[row]];

    /// <summary>How many keys a row has, with those of its beginning.</summary>
    /// <param name="row">The row.</param>
    internal int KeysOf(int row) => BegunOf(row) + KeyOffsets[row + 1] - KeyOffsets[row];

    /// <summary>For each query, the first key it sees.</summary>
    public int[] First { get; }

    /// <summary>For each query, the key after the last it sees.</summary>
    public int[] Last { get; }

    /// <summary>The number of rows.</summary>
    public int Rows => QueryOffsets.Length - 1;

    /// <summary>The keys of the longest row.</summary>
    public int LongestKeys => longestKeys;

    /// <summary>A token sees itself and the tokens before it; with a window, only the last <paramref name="window"/> of these.</summary>
    /// <param name="offsets">The rows.</param>
    /// <param name="window">The window, or 0 for none.</param>
    /// <param name="roots">For each row, the row that holds its beginning, or −1; null when no row has one.</param>
    public static Reach Causal(int[] offsets, int window = 0, int[]? roots = null) => Of(
        offsets,
        offsets,
        (_, i, _) => window > 0 ? Math.Max(0, i + 1 - window) : 0,
        (_, i, _) => i + 1,
        roots);

    /// <summary>A row is cut into chunks; a token sees itself and the tokens before it in its chunk.</summary>
    /// <param name="offsets">The rows.</param>
    /// <param name="chunk">The length of a chunk.</param>
    /// <param name="roots">For each row, the row that holds its beginning, or −1; null when no row has one.</param>
    public static Reach Chunked(int[] offsets, int chunk, int[]? roots = null) => Of(
        offsets,
        offsets,
        (_, i, _) => i - i % chunk,
        (_, i, _) => i + 1,
        roots);

    /// <summary>A token sees the tokens of its row that are near, in both directions.</summary>
    /// <param name="offsets">The rows.</param>
    /// <param name="distance">The largest distance.</param>
    public static Reach Around(int[] offsets, int distance) =>
        Of(offsets, offsets, (_, i, _) => Math.Max(0, i - distance), (_, i, keys) => Math.Min(keys, i + distance + 1));

    /// <summary>Every query sees all keys of its row.</summary>
    /// <param name="queryOffsets">The rows of the queries.</param>
    /// <param name="keyOffsets">The rows of the keys; as many rows.</param>
    public static Reach Whole(int[] queryOffsets, int[] keyOffsets) => Of(queryOffsets, keyOffsets, (_, _, _) => 0, (_, _, keys) => keys);

    /// <summary>As causal, but the first tokens of a row see each other in both directions.</summary>
    /// <param name="offsets">The rows.</param>
    /// <param name="prefixes">The length of each row's prefix.</param>
    public static Reach Prefix(int[] offsets, int[] prefixes) =>
        Of(offsets, offsets, (_, _, _) => 0, (r, i, keys) => Math.Min(keys, Math.Max(prefixes[r], i + 1)));

    private static Reach Of(
        int[] queryOffsets,
        int[] keyOffsets,
        Func<int, int, int, int> from,
        Func<int, int, int, int> to,
        int[]? roots = null)
    {
        ArgumentNullException.ThrowIfNull(queryOffsets);
        ArgumentNullException.ThrowIfNull(keyOffsets);
        var reach = new Reach(queryOffsets, keyOffsets, roots);
        for (var r = 0; r < reach.Rows; r++)
            for (var q = queryOffsets[r]; q < queryOffsets[r + 1]; q++)
            {
                int place = reach.BegunOf(r) + q - queryOffsets[r], keys = reach.KeysOf(r);
                (reach.First[q], reach.Last[q]) = (from(r, place, keys), to(r, place, keys));
            }
        return reach;
    }

    /// <summary>Throws when a distance between a query and a key it sees has no column in a table.</summary>
    internal void Check(DistanceBias? bias)
    {
        if (bias is null) return;
        for (var r = 0; r < Rows; r++)
            for (var q = QueryOffsets[r]; q < QueryOffsets[r + 1]; q++)
            {
                var place = BegunOf(r) + q - QueryOffsets[r];
                if (First[q] < Last[q] && (bias.Zero + First[q] - place < 0 || bias.Zero + Last[q] - 1 - place >= bias.Table.size(1)))
                    throw new ArgumentException(
                        $"The table of {bias.Table.size(1)} distances around {bias.Zero} does not reach from {First[q] - place} to "
                            + $"{Last[q] - 1 - place}.",
                        nameof(bias));
            }
    }
}
