using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Polymath.Tensors.Kernels;

/// <summary>The loops of <see cref="RaggedAttention"/> over rows and key heads, forward and backward.</summary>
internal static unsafe class RaggedLoops
{
    // Queries are processed in blocks, so that the scores of a block with a row of a thousand keys stay in the second-level cache.
    private const int QueryBlock = 32;

    /// <summary>The inputs and outputs of the loops.</summary>
    internal struct State
    {
        internal float* Query, Key, Value, Bias, Out, LogSum, Gradient, GradQuery, GradKey, GradValue, GradBias;
        internal int* Offsets, KeyOffsets, First, Last, Roots, Trees;
        internal int Heads, KeyHeads, Width, Longest, Distances, Zero;
        internal float Scale, Cap;

        /// <summary>The row that holds a row's beginning; the row itself when it has none.</summary>
        internal readonly int RootOf(int row) => Roots == null || Roots[row] < 0 ? row : Roots[row];

        /// <summary>How many keys lie in that other row.</summary>
        internal readonly int BegunOf(int row) => RootOf(row) == row ? 0 : KeyOffsets[RootOf(row) + 1] - KeyOffsets[RootOf(row)];
    }

    // Keys of a row that lie one behind the other: those of its beginning, or its own.
    private readonly struct Piece
    {
        internal readonly int From, Count;
        internal readonly long Key;

        // Of the keys from low to high, counted with the beginning: the place of the first one in the row, and among all keys.
        internal Piece(
            ref State s,
            int row,
            int low,
            int high,
            bool own)
        {
            var begun = s.BegunOf(row);
            From = own ? Math.Max(low, begun) : low;
            Count = Math.Max(0, (own ? high : Math.Min(high, begun)) - From);
            Key = s.KeyOffsets[own ? row : s.RootOf(row)] + From - (own ? begun : 0);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transpose(
        float* from,
        long stride,
        int rows,
        int columns,
        float* to,
        int toStride)
    {
        for (var r = 0; r < rows; r++)
            for (var c = 0; c < columns; c++)
                to[c * toStride + r] = from[r * stride + c];
    }

    // All keys, or values, of a row, one column each.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Columns(
        ref State s,
        float* from,
        int row,
        int keyHead,
        float* to)
    {
        var stride = (long)s.KeyHeads * s.Width;
        var begun = s.BegunOf(row);
        if (begun > 0)
            Transpose(
                from + s.KeyOffsets[s.RootOf(row)] * stride + keyHead * s.Width,
                stride,
                begun,
                s.Width,
                to,
                s.Longest);
        Transpose(
            from + s.KeyOffsets[row] * stride + keyHead * s.Width,
            stride,
            s.KeyOffsets[row + 1] - s.KeyOffsets[row],
            s.Width,
            to + begun,
            s.Longest);
    }

    // The keys that at least one query of a block sees.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Low, int High) Seen(ref State s, int from, int count)
    {
        int low = int.MaxValue, high = 0;
        for (var q = from; q < from + count; q++) (low, high) = (Math.Min(low, s.First[q]), Math.Max(high, s.Last[q]));
        return (low, Math.Max(low, high));
    }

    [UnmanagedCallersOnly]
    internal static void ForwardItems(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        long stride = (long)s.Heads * s.Width, keyStride = (long)s.KeyHeads * s.Width;
        var keys = (float*)NativeMemory.AlignedAlloc((nuint)(s.Width + QueryBlock) * (nuint)s.Longest * sizeof(float), 64);
        var scores = keys + (long)s.Width * s.Longest;
        for (var item = begin; item < end; item++)
        {
            int row = (int)(item / s.KeyHeads),
                keyHead = (int)(item % s.KeyHeads),
                start = s.Offsets[row],
                length = s.Offsets[row + 1] - start;
            Columns(
                ref s,
                s.Key,
                row,
                keyHead,
                keys);
            int group = s.Heads / s.KeyHeads, begun = s.BegunOf(row);
            for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                for (var block = 0; block < length; block += QueryBlock)
                {
                    var count = Math.Min(QueryBlock, length - block);
                    var (low, high) = Seen(ref s, start + block, count);
                    var at = (start + block) * stride + head * s.Width;
                    Zero(scores, count, high - low, s.Longest);
                    SmallProduct.Add(
                        count,
                        high - low,
                        s.Width,
                        s.Query + at,
                        stride,
                        1,
                        keys + low,
                        s.Longest,
                        scores,
                        s.Longest);
                    for (var i = 0; i < count; i++)
                    {
                        Weigh(
                            ref s,
                            scores + (long)i * s.Longest,
                            start + block + i,
                            begun + block + i,
                            head,
                            low,
                            high);
                        new Span<float>(s.Out + at + i * stride, s.Width).Clear();
                    }
                    for (var part = begun > 0 ? 0 : 1; part < 2; part++)
                    {
                        var piece = new Piece(
                            ref s,
                            row,
                            low,
                            high,
                            part > 0);
                        SmallProduct.Add(
                            count,
                            s.Width,
                            piece.Count,
                            scores + (piece.From - low),
                            s.Longest,
                            1,
                            s.Value + piece.Key * keyStride + keyHead * s.Width,
                            keyStride,
                            s.Out + at,
                            stride);
                    }
                }
        }
        NativeMemory.AlignedFree(keys);
    }

    // One query's products with the keys from low to high become weights, zero where it does not see.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Weigh(
        ref State s,
        float* p,
        int q,
        int place,
        int head,
        int low,
        int high)
    {
        int from = s.First[q] - low, visible = s.Last[q] - s.First[q];
        var seen = p + from;
        Vectors.Scale(seen, s.Scale, visible);
        if (s.Cap > 0) for (var j = 0; j < visible; j++) seen[j] = s.Cap * MathF.Tanh(seen[j] / s.Cap);
        if (s.Bias != null) Vectors.AddScaled(seen, s.Bias + (long)head * s.Distances + s.Zero + s.First[q] - place, 1, visible);
        var top = Vectors.Max(seen, visible, float.NegativeInfinity);
        var sum = Vectors.ExpSum(seen, top, visible);
        Vectors.Scale(seen, 1 / sum, visible);
        s.LogSum[q * (long)s.Heads + head] = top + MathF.Log(sum);
        new Span<float>(p, from).Clear();
        new Span<float>(seen + visible, high - low - from - visible).Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Zero(float* p, int rows, int columns, int stride)
    {
        for (var i = 0; i < rows; i++) new Span<float>(p + (long)i * stride, columns).Clear();
    }

    [UnmanagedCallersOnly]
    internal static void BackwardItems(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var plane = (long)s.Width * s.Longest;
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)(2 * s.Width + 2 * QueryBlock + 1) * (nuint)s.Longest * sizeof(float), 64);
        for (var item = begin; item < end; item++)
        {
            int tree = (int)(item / s.KeyHeads), keyHead = (int)(item % s.KeyHeads), group = s.Heads / s.KeyHeads;
            for (var row = s.Trees[tree]; row < s.Trees[tree + 1]; row++)
            {
                Columns(
                    ref s,
                    s.Key,
                    row,
                    keyHead,
                    scratch);
                Columns(
                    ref s,
                    s.Value,
                    row,
                    keyHead,
                    scratch + plane);
                for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                    for (var block = s.Offsets[row]; block < s.Offsets[row + 1]; block += QueryBlock)
                        BackwardBlock(
                            ref s,
                            scratch,
                            row,
                            head,
                            block);
            }
        }
        NativeMemory.AlignedFree(scratch);
    }

    // The gradients that a block of a row's queries gives, of one head; the row's keys and values are at the start of the scratch memory.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void BackwardBlock(
        ref State s,
        float* scratch,
        int row,
        int head,
        int block)
    {
        long stride = (long)s.Heads * s.Width, plane = (long)s.Width * s.Longest, at = block * stride + head * s.Width;
        float* keys = scratch,
            values = scratch + plane,
            weights = values + plane,
            slopes = weights + (long)QueryBlock * s.Longest,
            bends = slopes + (long)QueryBlock * s.Longest;
        int count = Math.Min(QueryBlock, s.Offsets[row + 1] - block), begun = s.BegunOf(row);
        var (low, high) = Seen(ref s, block, count);
        Zero(weights, count, high - low, s.Longest);
        Zero(slopes, count, high - low, s.Longest);
        SmallProduct.Add(
            count,
            high - low,
            s.Width,
            s.Query + at,
            stride,
            1,
            keys + low,
            s.Longest,
            weights,
            s.Longest);
        SmallProduct.Add(
            count,
            high - low,
            s.Width,
            s.Gradient + at,
            stride,
            1,
            values + low,
            s.Longest,
            slopes,
            s.Longest);
        var gradBias = s.GradBias == null ? null : s.GradBias + ((long)row * s.Heads + head) * s.Distances;
        for (var i = 0; i < count; i++)
            Slopes(
                ref s,
                weights + (long)i * s.Longest,
                slopes + (long)i * s.Longest,
                bends,
                gradBias,
                block + i,
                begun + block - s.Offsets[row] + i,
                head,
                low,
                high,
                at + i * stride);
        for (var part = begun > 0 ? 0 : 1; part < 2; part++)
            Spread(
                ref s,
                new Piece(
                    ref s,
                    row,
                    low,
                    high,
                    part > 0),
                weights - low,
                slopes - low,
                head,
                at,
                count);
    }

    // Adds a block's slopes to the gradients of some keys and values, and of the block's queries.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Spread(
        ref State s,
        Piece piece,
        float* weights,
        float* slopes,
        int head,
        long at,
        int count)
    {
        long stride = (long)s.Heads * s.Width, keyStride = (long)s.KeyHeads * s.Width;
        var keys = piece.Key * keyStride + head / (s.Heads / s.KeyHeads) * s.Width;
        SmallProduct.Add(
            piece.Count,
            s.Width,
            count,
            weights + piece.From,
            1,
            s.Longest,
            s.Gradient + at,
            stride,
            s.GradValue + keys,
            keyStride);
        SmallProduct.Add(
            piece.Count,
            s.Width,
            count,
            slopes + piece.From,
            1,
            s.Longest,
            s.Query + at,
            stride,
            s.GradKey + keys,
            keyStride);
        SmallProduct.Add(
            count,
            s.Width,
            piece.Count,
            slopes + piece.From,
            s.Longest,
            1,
            s.Key + keys,
            keyStride,
            s.GradQuery + at,
            stride);
    }

    // One query: p = exp(score − logSum) and ds = scale·bend·p·(dp − Σ g·out), zero where it does not see; bend is the derivative
    // of the cap.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Slopes(
        ref State s,
        float* p,
        float* d,
        float* bends,
        float* gradBias,
        int q,
        int place,
        int head,
        int low,
        int high,
        long at)
    {
        int from = s.First[q] - low, visible = s.Last[q] - s.First[q];
        float* seen = p + from, slope = d + from;
        var mean = Vectors.Dot(s.Gradient + at, s.Out + at, s.Width);
        Vectors.Scale(seen, s.Scale, visible);
        if (s.Cap > 0)
            for (var j = 0; j < visible; j++)
            {
                var turned = MathF.Tanh(seen[j] / s.Cap);
                (seen[j], bends[j]) = (s.Cap * turned, 1 - turned * turned);
            }
        var column = s.Zero + s.First[q] - place;
        if (s.Bias != null) Vectors.AddScaled(seen, s.Bias + (long)head * s.Distances + column, 1, visible);
        Vectors.ExpSum(seen, s.LogSum[q * (long)s.Heads + head], visible);
        if (gradBias != null) for (var j = 0; j < visible; j++) gradBias[column + j] += seen[j] * (slope[j] - mean);
        for (var j = 0; j < visible; j++) slope[j] = s.Scale * seen[j] * (slope[j] - mean);
        if (s.Cap > 0) for (var j = 0; j < visible; j++) slope[j] *= bends[j];
        foreach (var row in (ReadOnlySpan<nint>)[(nint)p, (nint)d])
        {
            new Span<float>((float*)row, from).Clear();
            new Span<float>((float*)row + from + visible, high - low - from - visible).Clear();
        }
        new Span<float>(s.GradQuery + at, s.Width).Clear();
    }
}
