using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// The loops of <see cref="CachedAttention"/>. The queries that read the same keys, those of a group of heads and of tokens that share the
/// beginning of their slots, are processed four at a time, so that a key is read once for all of them. The order of a query's sums does not
/// depend on the other queries.
/// </summary>
internal static unsafe class CachedLoops
{
    /// <summary>The most tokens that are processed together.</summary>
    internal const int MostTokens = 8;

    // The queries of one item, and where their scores are.
    private ref struct Work
    {
        internal float** Queries, Scores, Outs;
        internal int Width;
    }

    internal static void Items(long begin, long end, void* context)
    {
        ref var s = ref *(CachedAttention.State*)context;
        int group = s.Heads / s.KeyHeads, most = MostTokens * group;
        // A query's scores are counted from the first place of its slot.
        long room = (s.Longest + 31) & ~15;
        var scores = (float*)NativeMemory.AlignedAlloc((nuint)(most * room) * sizeof(float), 64);
        var pointers = stackalloc float*[3 * most];
        var work = new Work { Queries = pointers, Scores = pointers + most, Outs = pointers + 2 * most, Width = s.Width };
        for (var item = begin; item < end; item++)
        {
            int bundle = (int)(item / s.KeyHeads), head = (int)(item % s.KeyHeads) * group;
            int from = s.Bundles[bundle], to = s.Bundles[bundle + 1];
            for (var q = 0; q < (to - from) * group; q++)
            {
                var at = ((long)(from + q / group) * s.Heads + head + q % group) * s.Width;
                work.Queries[q] = s.Query + at;
                work.Scores[q] = scores + q * room;
                work.Outs[q] = s.Out + at;
            }
            Bundle(
                ref s,
                ref work,
                from,
                to,
                head);
        }
        NativeMemory.AlignedFree(scores);
    }

    private static void Bundle(
        ref CachedAttention.State s,
        ref Work work,
        int from,
        int to,
        int head)
    {
        int group = s.Heads / s.KeyHeads, queries = (to - from) * group, keyHead = head / group;
        int shared = s.Shared == null ? 0 : s.Shared[from], low = int.MaxValue;
        for (var t = from; t < to; t++) low = Math.Min(low, s.First[t]);
        if (low < shared)
            Score(
                ref work,
                0,
                queries,
                s.Keys + ((long)s.Origins[from] * s.KeyHeads + keyHead) * s.Capacity * s.Width,
                low,
                shared);
        for (var t = from; t < to; t++)
            Score(
                ref work,
                (t - from) * group,
                group,
                s.Keys + ((long)s.Slots[t] * s.KeyHeads + keyHead) * s.Capacity * s.Width,
                Math.Max(shared, s.First[t]),
                s.Last[t]);
        for (var q = 0; q < queries; q++)
            Weigh(
                ref s,
                work.Scores[q],
                from + q / group,
                head + q % group,
                low);
        for (var q = 0; q < queries; q++) new Span<float>(work.Outs[q], s.Width).Clear();
        if (low < shared)
            Mix(
                ref work,
                0,
                queries,
                s.Values + ((long)s.Origins[from] * s.KeyHeads + keyHead) * s.Capacity * s.Width,
                low,
                shared);
        for (var t = from; t < to; t++)
            Mix(
                ref work,
                (t - from) * group,
                group,
                s.Values + ((long)s.Slots[t] * s.KeyHeads + keyHead) * s.Capacity * s.Width,
                Math.Max(shared, s.First[t]),
                s.Last[t]);
    }

    // The products of some queries with the keys of a slot from one place to another.
    private static void Score(
        ref Work work,
        int query,
        int count,
        float* keys,
        int from,
        int to)
    {
        var width = work.Width;
        for (; count >= 4; query += 4, count -= 4)
        {
            float* q0 = work.Queries[query], q1 = work.Queries[query + 1], q2 = work.Queries[query + 2], q3 = work.Queries[query + 3];
            float* p0 = work.Scores[query], p1 = work.Scores[query + 1], p2 = work.Scores[query + 2], p3 = work.Scores[query + 3];
            for (var j = from; j < to; j++)
            {
                var k = keys + (long)j * width;
                Vector512<float> a = default, b = default, c = default, d = default;
                var i = 0;
                for (; i <= width - 16; i += 16)
                {
                    var key = Vector512.Load(k + i);
                    a = Vector512.FusedMultiplyAdd(Vector512.Load(q0 + i), key, a);
                    b = Vector512.FusedMultiplyAdd(Vector512.Load(q1 + i), key, b);
                    c = Vector512.FusedMultiplyAdd(Vector512.Load(q2 + i), key, c);
                    d = Vector512.FusedMultiplyAdd(Vector512.Load(q3 + i), key, d);
                }
                (p0[j], p1[j], p2[j], p3[j]) = (Sum(a), Sum(b), Sum(c), Sum(d));
                for (; i < width; i++)
                {
                    p0[j] += q0[i] * k[i];
                    p1[j] += q1[i] * k[i];
                    p2[j] += q2[i] * k[i];
                    p3[j] += q3[i] * k[i];
                }
            }
        }
        for (; count > 0; query++, count--)
        {
            float* q = work.Queries[query], p = work.Scores[query];
            for (var j = from; j < to; j++)
            {
                var k = keys + (long)j * width;
                Vector512<float> a = default;
                var i = 0;
                for (; i <= width - 16; i += 16) a = Vector512.FusedMultiplyAdd(Vector512.Load(q + i), Vector512.Load(k + i), a);
                p[j] = Sum(a);
                for (; i < width; i++) p[j] += q[i] * k[i];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Sum(Vector512<float> x)
    {
        var half = x.GetLower() + x.GetUpper();
        var quarter = half.GetLower() + half.GetUpper();
        return quarter[0] + quarter[2] + (quarter[1] + quarter[3]);
    }

    // One query's products become weights; those of places before its first one, which other queries of its bundle see, become zero.
    private static void Weigh(
        ref CachedAttention.State s,
        float* p,
        int token,
        int head,
        int low)
    {
        int first = s.First[token], length = s.Last[token] - first;
        var seen = p + first;
        Vectors.Scale(seen, s.Scale, length);
        if (s.Cap > 0) for (var j = 0; j < length; j++) seen[j] = s.Cap * MathF.Tanh(seen[j] / s.Cap);
        if (s.Bias != null)
            Vectors.AddScaled(seen, s.Bias + (long)head * s.Distances + s.Zero + first - s.Places[token], 1, length);
        var sum = Vectors.ExpSum(seen, Vectors.Max(seen, length, float.NegativeInfinity), length);
        Vectors.Scale(seen, 1 / sum, length);
        new Span<float>(p + low, first - low).Clear();
    }

    // Adds the values of a slot from one place to another, weighted, to the results of some queries.
    private static void Mix(
        ref Work work,
        int query,
        int count,
        float* values,
        int from,
        int to)
    {
        if (from >= to) return;
        var width = work.Width;
        for (; count > 0; query += Math.Min(count, 4), count -= 4)
        {
            var i = 0;
            if (count < 4)
                for (; i <= width - 64; i += 64)
                    for (var q = query; q < query + count; q++)
                        MixWide(
                            ref work,
                            q,
                            values + i,
                            i,
                            (from, to));
            for (; i <= width - 16; i += 16)
                if (count >= 4)
                    Mix4(
                        ref work,
                        query,
                        values + i,
                        i,
                        (from, to));
                else
                    for (var q = query; q < query + count; q++)
                        Mix1(
                            ref work,
                            q,
                            values + i,
                            i,
                            (from, to));
            for (var q = query; q < query + Math.Min(count, 4); q++)
                for (var column = i; column < width; column++)
                    for (var j = from; j < to; j++) work.Outs[q][column] += work.Scores[q][j] * values[(long)j * width + column];
        }
    }

    private static void Mix4(
        ref Work work,
        int query,
        float* values,
        int column,
        (int From, int To) places)
    {
        float* p0 = work.Scores[query], p1 = work.Scores[query + 1], p2 = work.Scores[query + 2], p3 = work.Scores[query + 3];
        float* y0 = work.Outs[query] + column, y1 = work.Outs[query + 1] + column, y2 = work.Outs[query + 2] + column,
            y3 = work.Outs[query + 3] + column;
        Vector512<float> a = Vector512.Load(y0), b = Vector512.Load(y1), c = Vector512.Load(y2), d = Vector512.Load(y3);
        for (var j = places.From; j < places.To; j++)
        {
            var value = Vector512.Load(values + (long)j * work.Width);
            a = Vector512.FusedMultiplyAdd(Vector512.Create(p0[j]), value, a);
            b = Vector512.FusedMultiplyAdd(Vector512.Create(p1[j]), value, b);
            c = Vector512.FusedMultiplyAdd(Vector512.Create(p2[j]), value, c);
            d = Vector512.FusedMultiplyAdd(Vector512.Create(p3[j]), value, d);
        }
        a.Store(y0);
        b.Store(y1);
        c.Store(y2);
        d.Store(y3);
    }

    // Four vectors of one query, so that one sum does not wait for another.
    private static void MixWide(
        ref Work work,
        int query,
        float* values,
        int column,
        (int From, int To) places)
    {
        float* p = work.Scores[query], y = work.Outs[query] + column;
        Vector512<float> a = Vector512.Load(y), b = Vector512.Load(y + 16), c = Vector512.Load(y + 32), d = Vector512.Load(y + 48);
        for (var j = places.From; j < places.To; j++)
        {
            var v = values + (long)j * work.Width;
            var weight = Vector512.Create(p[j]);
            a = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v), a);
            b = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 16), b);
            c = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 32), c);
            d = Vector512.FusedMultiplyAdd(weight, Vector512.Load(v + 48), d);
        }
        a.Store(y);
        b.Store(y + 16);
        c.Store(y + 32);
        d.Store(y + 48);
    }

    private static void Mix1(
        ref Work work,
        int query,
        float* values,
        int column,
        (int From, int To) places)
    {
        float* p = work.Scores[query], y = work.Outs[query] + column;
        var a = Vector512.Load(y);
        for (var j = places.From; j < places.To; j++)
            a = Vector512.FusedMultiplyAdd(Vector512.Create(p[j]), Vector512.Load(values + (long)j * work.Width), a);
        a.Store(y);
    }
}
