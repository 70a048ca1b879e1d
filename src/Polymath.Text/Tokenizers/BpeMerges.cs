using System.Numerics;
using System.Runtime.InteropServices;

namespace Polymath.Text;

/// <summary>
/// The merges of byte-pair encoding: the pairs of neighbouring tokens that become one, and their order (Sennrich et al. 2016).
/// </summary>
internal sealed class BpeMerges
{
    private const int ShortWord = 48;

    // An open hash table: the pair, and its result.
    private readonly ulong[] pairs;
    private readonly (int Rank, int Id)[] merges;
    private readonly int shift;

    /// <summary>The merges by rank.</summary>
    /// <param name="merges">For each merge its left, right and resulting id; an earlier merge is applied first. The later one of a repeated
    /// pair counts.</param>
    public BpeMerges(IReadOnlyList<(int Left, int Right, int Id)> merges)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, 2 * merges.Count + 1));
        (pairs, this.merges, shift) = (new ulong[size], new (int, int)[size], 64 - BitOperations.Log2((uint)size));
        Array.Fill(pairs, ulong.MaxValue);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var pair = Pair(merges[rank].Left, merges[rank].Right);
            var place = Place(pair);
            if (pairs[place] != pair)
                Count++;
            (pairs[place], this.merges[place]) = (pair, (rank, merges[rank].Id));
        }
    }

    /// <summary>The number of merges.</summary>
    public int Count { get; }

    /// <summary>The ids that merges make.</summary>
    public IEnumerable<int> Results => merges.Where((_, place) => pairs[place] != ulong.MaxValue).Select(merge => merge.Id);

    /// <summary>Whether some ids are merged with others.</summary>
    public bool Touch(HashSet<int> ids) =>
        pairs.Any(pair => pair != ulong.MaxValue && (ids.Contains((int)(pair >> 32)) || ids.Contains((int)pair)));

    /// <summary>Merges until no pair is left that may be merged.</summary>
    /// <param name="list">Ids; those of a word are at its end, and are changed in place.</param>
    /// <param name="from">Where the word starts.</param>
    /// <param name="forbidden">Ids that must not be produced, or null.</param>
    public void Apply(List<int> list, int from, HashSet<int>? forbidden)
    {
        var ids = CollectionsMarshal.AsSpan(list)[from..];
        if (ids.Length < 2 || Count == 0)
            return;
        var count = ids.Length <= ShortWord ? ApplyShort(ids, forbidden) : ApplyLong(ids, forbidden);
        list.RemoveRange(from + count, list.Count - from - count);
    }

    private static ulong Pair(int left, int right) => (ulong)(uint)left << 32 | (uint)right;

    // The place of the pair, or the free place for it.
    private int Place(ulong pair)
    {
        var place = (int)((pair ^ pair >> 29) * 0x9E3779B97F4A7C15UL >> shift);
        while (pairs[place] != pair && pairs[place] != ulong.MaxValue)
            place = (place + 1) & (pairs.Length - 1);
        return place;
    }

    private (int Rank, int Id) Find(int left, int right, HashSet<int>? forbidden)
    {
        var pair = Pair(left, right);
        var place = Place(pair);
        return pairs[place] == pair && (forbidden is null || !forbidden.Contains(merges[place].Id)) ? merges[place] : (int.MaxValue, 0);
    }

    // With few pairs, a linear search is fastest.
    private int ApplyShort(Span<int> ids, HashSet<int>? forbidden)
    {
        var count = ids.Length;
        Span<int> ranks = stackalloc int[ShortWord], made = stackalloc int[ShortWord];
        for (var i = 0; i < count - 1; i++)
            (ranks[i], made[i]) = Find(ids[i], ids[i + 1], forbidden);
        while (count > 1)
        {
            var (best, least) = (0, ranks[0]);
            for (var i = 1; i < count - 1; i++)
            {
                if (ranks[i] < least)
                    (best, least) = (i, ranks[i]);
            }

            if (least == int.MaxValue)
                break;
            ids[best] = made[best];
            count--;
            for (var i = best + 1; i < count; i++)
                (ids[i], ranks[i - 1], made[i - 1]) = (ids[i + 1], ranks[i], made[i]);
            if (best > 0)
                (ranks[best - 1], made[best - 1]) = Find(ids[best - 1], ids[best], forbidden);
            if (best < count - 1)
                (ranks[best], made[best]) = Find(ids[best], ids[best + 1], forbidden);
        }

        return count;
    }

    // Pairs wait in a queue by rank, then by place; a pair whose neighbours have changed is skipped.
    private int ApplyLong(Span<int> word, HashSet<int>? forbidden)
    {
        var ids = word.ToArray();
        var previous = new int[ids.Length];
        var next = new int[ids.Length];
        var queue = new PriorityQueue<(int At, int Left, int Right, int Id), long>(ids.Length);
        for (var i = 0; i < ids.Length; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1 < ids.Length ? i + 1 : -1);
            if (next[i] >= 0)
                Enqueue(i, i + 1);
        }

        while (queue.TryDequeue(out var top, out _))
        {
            var right = next[top.At];
            if (ids[top.At] != top.Left || right < 0 || ids[right] != top.Right)
                continue;
            ids[top.At] = top.Id;
            ids[right] = -1;
            next[top.At] = next[right];
            if (next[right] >= 0)
            {
                previous[next[right]] = top.At;
                Enqueue(top.At, next[right]);
            }

            if (previous[top.At] >= 0)
                Enqueue(previous[top.At], top.At);
        }

        var count = 0;
        for (var i = 0; i >= 0; i = next[i])
            word[count++] = ids[i];
        return count;

        void Enqueue(int left, int right)
        {
            var merge = Find(ids[left], ids[right], forbidden);
            if (merge.Rank != int.MaxValue)
                queue.Enqueue((left, ids[left], ids[right], merge.Id), ((long)merge.Rank << 32) | (uint)left);
        }
    }
}
