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
        internal int* Offsets, KeyOffsets, First, Last;
        internal int Heads, KeyHeads, Width, Longest, Distances, Zero;
        internal float Scale, Cap;
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
            var firstKey = s.KeyOffsets[row] * keyStride + keyHead * s.Width;
            Transpose(
                s.Key + firstKey,
                keyStride,
                s.KeyOffsets[row + 1] - s.KeyOffsets[row],
                s.Width,
                keys,
                s.Longest);
            int group = s.Heads / s.KeyHeads;
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
                            block + i,
                            head,
                            low,
                            high);
                        new Span<float>(s.Out + at + i * stride, s.Width).Clear();
                    }
                    SmallProduct.Add(
                        count,
                        s.Width,
                        high - low,
                        scores,
                        s.Longest,
                        1,
                        s.Value + firstKey + low * keyStride,
                        keyStride,
                        s.Out + at,
                        stride);
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
        long stride = (long)s.Heads * s.Width, keyStride = (long)s.KeyHeads * s.Width, plane = (long)s.Width * s.Longest;
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)(2 * s.Width + 2 * QueryBlock + 1) * (nuint)s.Longest * sizeof(float), 64);
        float* keys = scratch,
            values = scratch + plane,
            weights = values + plane,
            slopes = weights + (long)QueryBlock * s.Longest,
            bends = slopes + (long)QueryBlock * s.Longest;
        for (var item = begin; item < end; item++)
        {
            int row = (int)(item / s.KeyHeads),
                keyHead = (int)(item % s.KeyHeads),
                start = s.Offsets[row],
                length = s.Offsets[row + 1] - start;
            int keyLength = s.KeyOffsets[row + 1] - s.KeyOffsets[row], group = s.Heads / s.KeyHeads;
            var firstKey = s.KeyOffsets[row] * keyStride + keyHead * s.Width;
            Transpose(
                s.Key + firstKey,
                keyStride,
                keyLength,
                s.Width,
                keys,
                s.Longest);
            Transpose(
                s.Value + firstKey,
                keyStride,
                keyLength,
                s.Width,
                values,
                s.Longest);
            for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                for (var block = 0; block < length; block += QueryBlock)
                {
                    var count = Math.Min(QueryBlock, length - block);
                    var (low, high) = Seen(ref s, start + block, count);
                    long at = (start + block) * stride + head * s.Width, seenKeys = firstKey + low * keyStride;
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
                            start + block + i,
                            block + i,
                            head,
                            low,
                            high,
                            at + i * stride);
                    SmallProduct.Add(
                        high - low,
                        s.Width,
                        count,
                        weights,
                        1,
                        s.Longest,
                        s.Gradient + at,
                        stride,
                        s.GradValue + seenKeys,
                        keyStride);
                    SmallProduct.Add(
                        high - low,
                        s.Width,
                        count,
                        slopes,
                        1,
                        s.Longest,
                        s.Query + at,
                        stride,
                        s.GradKey + seenKeys,
                        keyStride);
                    SmallProduct.Add(
                        count,
                        s.Width,
                        high - low,
                        slopes,
                        s.Longest,
                        1,
                        s.Key + seenKeys,
                        keyStride,
                        s.GradQuery + at,
                        stride);
                }
        }
        NativeMemory.AlignedFree(scratch);
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
