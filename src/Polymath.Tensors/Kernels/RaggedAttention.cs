using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Causal attention over rows that lie end to end: a token sees itself and what stands before it in its own row, never another row. Query heads share
/// key and value heads in groups (Ainslie et al. 2023) without repeating them. The backward recomputes the weights from the kept log-sum-exp (Dao et al. 2022).
/// </summary>
public sealed unsafe class RaggedAttention : Fused
{
    // Queries are taken in blocks, so that the scores of a block against a row of a thousand keys stay in the second-level cache.
    const int QueryBlock = 32;
    readonly int[] offsets;
    readonly float scale;
    Tensor? query, key, value, result, logSum;

    RaggedAttention(int[] offsets, double scale) => (this.offsets, this.scale) = (offsets, (float)scale);

    /// <inheritdoc/>
    protected internal override int InputCount => 3;

    /// <summary>Attention of query [tokens, heads, D] over key and value [tokens, keyValueHeads, D]; row r is the tokens offsets[r] to offsets[r + 1].</summary>
    public static Tensor Of(Tensor query, Tensor key, Tensor value, int[] offsets, double scale) =>
        FastPath.Takes(query, key, value) ? new RaggedAttention(offsets, scale).Apply(query, key, value) : Plain(query, key, value, offsets, scale);

    /// <summary>The same in libtorch's operations, row by row.</summary>
    public static Tensor Plain(Tensor query, Tensor key, Tensor value, int[] offsets, double scale)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(offsets);
        var group = query.shape[1] / key.shape[1];
        var rows = new List<Tensor>();
        for (var r = 0; r + 1 < offsets.Length; r++)
        {
            int start = offsets[r], length = offsets[r + 1] - start;
            Tensor Heads(Tensor x) => x.narrow(0, start, length).transpose(0, 1);
            var scores = Heads(query).matmul(Heads(key).repeat_interleave(group, 0).transpose(1, 2)) * scale;
            var hidden = ones(length, length, dtype: ScalarType.Bool, device: query.device).triu(1);
            var weights = scores.masked_fill(hidden, float.NegativeInfinity).softmax(-1);
            rows.Add(weights.matmul(Heads(value).repeat_interleave(group, 0)).transpose(0, 1));
        }
        return cat(rows, 0);
    }

    struct State
    {
        internal float* Query, Key, Value, Out, LogSum, Gradient, GradQuery, GradKey, GradValue;
        internal int* Offsets;
        internal int Heads, KeyHeads, Width, Longest;
        internal float Scale;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        (query, key, value) = (inputs[0], inputs[1], inputs[2]);
        result = empty_like(query);
        logSum = empty(query.shape[0], query.shape[1], dtype: ScalarType.Float32);
        var state = Shape();
        fixed (int* rows = offsets)
        {
            state.Offsets = rows;
            LibTorch.For((long)(offsets.Length - 1) * state.KeyHeads, 1, &ForwardItems, &state);
        }
        return result;
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        Tensor gradQuery = empty_like(query!), gradKey = zeros_like(key!), gradValue = zeros_like(value!);
        var state = Shape();
        state.Gradient = (float*)LibTorch.Data(dense);
        state.GradQuery = (float*)LibTorch.Data(gradQuery);
        state.GradKey = (float*)LibTorch.Data(gradKey);
        state.GradValue = (float*)LibTorch.Data(gradValue);
        fixed (int* rows = offsets)
        {
            state.Offsets = rows;
            LibTorch.For((long)(offsets.Length - 1) * state.KeyHeads, 1, &BackwardItems, &state);
        }
        return [gradQuery, gradKey, gradValue];
    }

    State Shape()
    {
        var longest = 0;
        for (var r = 1; r < offsets.Length; r++) longest = Math.Max(longest, offsets[r] - offsets[r - 1]);
        return new State
        {
            Query = (float*)LibTorch.Data(query!),
            Key = (float*)LibTorch.Data(key!),
            Value = (float*)LibTorch.Data(value!),
            Out = (float*)LibTorch.Data(result!),
            LogSum = (float*)LibTorch.Data(logSum!),
            Heads = (int)query!.shape[1],
            KeyHeads = (int)key!.shape[1],
            Width = (int)query.shape[2],
            Longest = (longest + 15) & ~15,
            Scale = scale,
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Transpose(float* from, long stride, int rows, int columns, float* to, int toStride)
    {
        for (var r = 0; r < rows; r++)
            for (var c = 0; c < columns; c++)
                to[c * toStride + r] = from[r * stride + c];
    }

    [UnmanagedCallersOnly]
    static void ForwardItems(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        long stride = (long)s.Heads * s.Width, keyStride = (long)s.KeyHeads * s.Width;
        var keys = (float*)NativeMemory.AlignedAlloc((nuint)(s.Width + QueryBlock) * (nuint)s.Longest * sizeof(float), 64);
        var scores = keys + (long)s.Width * s.Longest;
        for (var item = begin; item < end; item++)
        {
            int row = (int)(item / s.KeyHeads), keyHead = (int)(item % s.KeyHeads), start = s.Offsets[row], length = s.Offsets[row + 1] - start;
            var firstKey = start * keyStride + keyHead * s.Width;
            Transpose(s.Key + firstKey, keyStride, length, s.Width, keys, s.Longest);
            int group = s.Heads / s.KeyHeads;
            for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                for (var block = 0; block < length; block += QueryBlock)
                {
                    int count = Math.Min(QueryBlock, length - block), seen = block + count;
                    var at = (start + block) * stride + head * s.Width;
                    Zero(scores, count, seen, s.Longest);
                    SmallProduct.Add(count, seen, s.Width, s.Query + at, stride, 1, keys, s.Longest, scores, s.Longest);
                    for (var i = 0; i < count; i++)
                    {
                        float* p = scores + (long)i * s.Longest;
                        int visible = block + i + 1;
                        Vectors.Scale(p, s.Scale, visible);
                        var top = Vectors.Max(p, visible, float.NegativeInfinity);
                        var sum = Vectors.ExpSum(p, top, visible);
                        Vectors.Scale(p, 1 / sum, visible);
                        new Span<float>(p + visible, seen - visible).Clear();
                        s.LogSum[(start + block + i) * (long)s.Heads + head] = top + MathF.Log(sum);
                        new Span<float>(s.Out + at + i * stride, s.Width).Clear();
                    }
                    SmallProduct.Add(count, s.Width, seen, scores, s.Longest, 1, s.Value + firstKey, keyStride, s.Out + at, stride);
                }
        }
        NativeMemory.AlignedFree(keys);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Zero(float* p, int rows, int columns, int stride)
    {
        for (var i = 0; i < rows; i++) new Span<float>(p + (long)i * stride, columns).Clear();
    }

    [UnmanagedCallersOnly]
    static void BackwardItems(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        long stride = (long)s.Heads * s.Width, keyStride = (long)s.KeyHeads * s.Width, plane = (long)s.Width * s.Longest;
        var scratch = (float*)NativeMemory.AlignedAlloc((nuint)(2 * s.Width + 2 * QueryBlock) * (nuint)s.Longest * sizeof(float), 64);
        float* keys = scratch, values = scratch + plane, weights = values + plane, slopes = weights + (long)QueryBlock * s.Longest;
        for (var item = begin; item < end; item++)
        {
            int row = (int)(item / s.KeyHeads), keyHead = (int)(item % s.KeyHeads), start = s.Offsets[row], length = s.Offsets[row + 1] - start;
            var firstKey = start * keyStride + keyHead * s.Width;
            Transpose(s.Key + firstKey, keyStride, length, s.Width, keys, s.Longest);
            Transpose(s.Value + firstKey, keyStride, length, s.Width, values, s.Longest);
            int group = s.Heads / s.KeyHeads;
            for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                for (var block = 0; block < length; block += QueryBlock)
                {
                    int count = Math.Min(QueryBlock, length - block), seen = block + count;
                    var at = (start + block) * stride + head * s.Width;
                    Zero(weights, count, seen, s.Longest);
                    Zero(slopes, count, seen, s.Longest);
                    SmallProduct.Add(count, seen, s.Width, s.Query + at, stride, 1, keys, s.Longest, weights, s.Longest);
                    SmallProduct.Add(count, seen, s.Width, s.Gradient + at, stride, 1, values, s.Longest, slopes, s.Longest);
                    for (var i = 0; i < count; i++) Slopes(ref s, weights + (long)i * s.Longest, slopes + (long)i * s.Longest, start, block + i, seen, head, at + i * stride);
                    SmallProduct.Add(seen, s.Width, count, weights, 1, s.Longest, s.Gradient + at, stride, s.GradValue + firstKey, keyStride);
                    SmallProduct.Add(seen, s.Width, count, slopes, 1, s.Longest, s.Query + at, stride, s.GradKey + firstKey, keyStride);
                    SmallProduct.Add(count, s.Width, seen, slopes, s.Longest, 1, s.Key + firstKey, keyStride, s.GradQuery + at, stride);
                }
        }
        NativeMemory.AlignedFree(scratch);
    }

    // One query: p = exp(scale·score − logSum) and ds = scale·p·(dp − Σ g·out), zero beyond the query's own place.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Slopes(ref State s, float* p, float* d, int start, int place, int seen, int head, long at)
    {
        var visible = place + 1;
        Vectors.Scale(p, s.Scale, visible);
        Vectors.ExpSum(p, s.LogSum[(start + place) * (long)s.Heads + head], visible);
        new Span<float>(p + visible, seen - visible).Clear();
        var mean = Vectors.Dot(s.Gradient + at, s.Out + at, s.Width);
        for (var j = 0; j < visible; j++) d[j] = s.Scale * p[j] * (d[j] - mean);
        new Span<float>(d + visible, seen - visible).Clear();
        new Span<float>(s.GradQuery + at, s.Width).Clear();
    }
}
