using System.Runtime.InteropServices;

namespace Polymath.Text;

/// <summary>The merges of byte-pair encoding: which two neighbouring tokens become one, and which pair goes first (Sennrich et al. 2016).</summary>
internal sealed class BpeMerges
{
    private const int ShortWord = 48;
    private readonly Dictionary<TokenPair, (int Rank, int Id)> _merges;

    /// <summary>The merges by rank.</summary>
    /// <param name="merges">For each merge its left, right and resulting id; the earlier goes first. Of a repeated pair the later one counts.</param>
    public BpeMerges(IReadOnlyList<(int Left, int Right, int Id)> merges)
    {
        _merges = new(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
            _merges[new(merges[rank].Left, merges[rank].Right)] = (rank, merges[rank].Id);
    }

    /// <summary>The number of merges.</summary>
    public int Count => _merges.Count;

    /// <summary>Merges until no pair is left that may be merged.</summary>
    /// <param name="ids">The ids of a word, changed in place.</param>
    /// <param name="forbidden">Ids that must not come out, or null.</param>
    public void Apply(List<int> ids, HashSet<int>? forbidden)
    {
        if (ids.Count < 2 || _merges.Count == 0)
            return;
        if (ids.Count <= ShortWord)
            ApplyShort(ids, forbidden);
        else
            ApplyLong(ids, forbidden);
    }

    private (int Rank, int Id) Find(int left, int right, HashSet<int>? forbidden)
        => _merges.TryGetValue(new(left, right), out var merge) && (forbidden is null || !forbidden.Contains(merge.Id)) ? merge : (int.MaxValue, 0);

    // The best of few pairs is found fastest by looking at each.
    private void ApplyShort(List<int> list, HashSet<int>? forbidden)
    {
        var ids = CollectionsMarshal.AsSpan(list);
        var count = ids.Length;
        Span<(int Rank, int Id)> merges = stackalloc (int, int)[count - 1];
        for (var i = 0; i < merges.Length; i++)
            merges[i] = Find(ids[i], ids[i + 1], forbidden);
        while (count > 1)
        {
            var best = 0;
            for (var i = 1; i < count - 1; i++)
            {
                if (merges[i].Rank < merges[best].Rank)
                    best = i;
            }

            if (merges[best].Rank == int.MaxValue)
                break;
            ids[best] = merges[best].Id;
            ids[(best + 2)..count].CopyTo(ids[(best + 1)..]);
            if (best + 2 < count)
                merges[(best + 2 - 1)..(count - 1)].CopyTo(merges[best..]);
            count--;
            if (best > 0)
                merges[best - 1] = Find(ids[best - 1], ids[best], forbidden);
            if (best < count - 1)
                merges[best] = Find(ids[best], ids[best + 1], forbidden);
        }

        list.RemoveRange(count, list.Count - count);
    }

    // Pairs wait in a queue by rank, then by place; one whose neighbours have changed since is passed over.
    private void ApplyLong(List<int> list, HashSet<int>? forbidden)
    {
        var ids = list.ToArray();
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

        list.Clear();
        for (var i = 0; i >= 0; i = next[i])
            list.Add(ids[i]);

        void Enqueue(int left, int right)
        {
            var merge = Find(ids[left], ids[right], forbidden);
            if (merge.Rank != int.MaxValue)
                queue.Enqueue((left, ids[left], ids[right], merge.Id), ((long)merge.Rank << 32) | (uint)left);
        }
    }
}
