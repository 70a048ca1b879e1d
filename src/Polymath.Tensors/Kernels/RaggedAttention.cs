using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Attention over rows that lie end to end: a query sees a span of its own row's keys (see <see cref="Reach"/>), never another row. Query
/// heads share key and value heads in groups (Ainslie et al. 2023) without repeating them. The backward recomputes the weights from the
/// kept log-sum-exp (Dao et al. 2022).
/// </summary>
public sealed unsafe class RaggedAttention : Fused
{
    // Queries are taken in blocks, so that the scores of a block against a row of a thousand keys stay in the second-level cache.
    private const int QueryBlock = 32;
    private readonly Reach reach;
    private readonly AttentionForm form;
    private readonly int zero;
    private Tensor? query, key, value, table, result, logSum;

    private RaggedAttention(Reach reach, AttentionForm form, int zero) => (this.reach, this.form, this.zero) = (reach, form, zero);

    /// <inheritdoc/>
    protected internal override int InputCount => table is null ? 3 : 4;

    /// <summary>
    /// Causal attention of query [tokens, heads, D] over key and value [tokens, keyValueHeads, D]; row r is the tokens offsets[r] to
    /// offsets[r + 1].
    /// </summary>
    public static Tensor Of(
        Tensor query,
        Tensor key,
        Tensor value,
        int[] offsets,
        double scale) => Of(
            query,
            key,
            value,
            Reach.Causal(offsets),
            new AttentionForm(scale));

    /// <summary>Attention of query [queries, heads, D] over key and value [keys, keyValueHeads, D].</summary>
    /// <param name="query">The queries.</param>
    /// <param name="key">The keys.</param>
    /// <param name="value">The values.</param>
    /// <param name="reach">Which keys a query sees.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">What is added by distance, or null.</param>
    public static Tensor Of(
        Tensor query,
        Tensor key,
        Tensor value,
        Reach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        reach.Check(bias);
        if (!FastPath.Takes(query, key, value) || (bias is not null && !FastPath.Takes(bias.Table)))
            return Plain(
                query,
                key,
                value,
                reach,
                form,
                bias);
        var op = new RaggedAttention(reach, form, bias?.Zero ?? 0) { table = bias?.Table };
        return bias is null ? op.Apply(query, key, value) : op.Apply(query, key, value, bias.Table);
    }

    /// <summary>The same in libtorch's operations, row by row.</summary>
    public static Tensor Plain(
        Tensor query,
        Tensor key,
        Tensor value,
        int[] offsets,
        double scale) => Plain(
            query,
            key,
            value,
            Reach.Causal(offsets),
            new AttentionForm(scale));

    /// <summary>The same in libtorch's operations, row by row.</summary>
    /// <param name="query">The queries.</param>
    /// <param name="key">The keys.</param>
    /// <param name="value">The values.</param>
    /// <param name="reach">Which keys a query sees.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">What is added by distance, or null.</param>
    public static Tensor Plain(
        Tensor query,
        Tensor key,
        Tensor value,
        Reach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(key);
        ArgumentNullException.ThrowIfNull(value);
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        var group = query.size(1) / key.size(1);
        var rows = new List<Tensor>();
        for (var r = 0; r < reach.Rows; r++)
        {
            int start = reach.QueryOffsets[r],
                length = reach.QueryOffsets[r + 1] - start,
                keys = reach.KeyOffsets[r + 1] - reach.KeyOffsets[r];
            Tensor Keys(Tensor x) => x.narrow(0, reach.KeyOffsets[r], keys).transpose(0, 1).repeat_interleave(group, 0);
            // [heads, queries, keys]
            var scores = query.narrow(0, start, length).transpose(0, 1).bmm(Keys(key).transpose(1, 2)) * form.Scale;
            if (form.SoftCap > 0) scores = (scores / form.SoftCap).tanh() * form.SoftCap;
            var places = arange(keys, device: query.device);
            if (bias is not null)
            {
                var columns = (places.unsqueeze(0) - arange(length, device: query.device).unsqueeze(1) + bias.Zero)
                    .clamp(0, bias.Table.size(1) - 1);
                scores += bias.Table.index_select(1, columns.flatten()).view(-1, length, keys);
            }
            Tensor Bound(int[] of) => tensor(of.AsSpan(start, length).ToArray(), device: query.device).unsqueeze(1);
            var hidden = places.lt(Bound(reach.First)).logical_or(places.ge(Bound(reach.Last)));
            rows.Add(scores.masked_fill(hidden, float.NegativeInfinity).softmax(-1).bmm(Keys(value)).transpose(0, 1));
        }
        return cat(rows, 0);
    }

    private struct State
    {
        internal float* Query, Key, Value, Bias, Out, LogSum, Gradient, GradQuery, GradKey, GradValue, GradBias;
        internal int* Offsets, KeyOffsets, First, Last;
        internal int Heads, KeyHeads, Width, Longest, Distances, Zero;
        internal float Scale, Cap;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        (query, key, value) = (Hold(inputs[0]), Hold(inputs[1]), Hold(inputs[2]));
        var made = empty_like(query);
        (result, logSum) = (Hold(made), Hold(empty(query.size(0), query.size(1), dtype: ScalarType.Float32)));
        var state = Shape();
        fixed (int* rows = reach.QueryOffsets, keyRows = reach.KeyOffsets, first = reach.First, last = reach.Last)
        {
            state.Offsets = rows;
            state.KeyOffsets = keyRows;
            state.First = first;
            state.Last = last;
            LibTorch.For((long)reach.Rows * state.KeyHeads, 1, &ForwardItems, &state);
        }
        GC.KeepAlive(table);
        return made;
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        Tensor gradQuery = empty_like(query!), gradKey = zeros_like(key!), gradValue = zeros_like(value!);
        var state = Shape();
        // Each row sums its own part of the table's gradient; the parts are added in order: the same bits whatever the number of threads.
        using var partial = table is { requires_grad: true } ? zeros(reach.Rows, state.Heads, state.Distances) : null;
        state.Gradient = (float*)LibTorch.Data(dense);
        state.GradQuery = (float*)LibTorch.Data(gradQuery);
        state.GradKey = (float*)LibTorch.Data(gradKey);
        state.GradValue = (float*)LibTorch.Data(gradValue);
        state.GradBias = partial is null ? null : (float*)LibTorch.Data(partial);
        fixed (int* rows = reach.QueryOffsets, keyRows = reach.KeyOffsets, first = reach.First, last = reach.Last)
        {
            state.Offsets = rows;
            state.KeyOffsets = keyRows;
            state.First = first;
            state.Last = last;
            LibTorch.For((long)reach.Rows * state.KeyHeads, 1, &BackwardItems, &state);
        }
        return table is null ? [gradQuery, gradKey, gradValue] : [gradQuery, gradKey, gradValue, partial?.sum(dim: 0)];
    }

    private State Shape() => new()
    {
        Query = (float*)LibTorch.Data(query!),
        Key = (float*)LibTorch.Data(key!),
        Value = (float*)LibTorch.Data(value!),
        Bias = table is null ? null : (float*)LibTorch.Data(table),
        Out = (float*)LibTorch.Data(result!),
        LogSum = (float*)LibTorch.Data(logSum!),
        Heads = (int)query!.size(1),
        KeyHeads = (int)key!.size(1),
        Width = (int)query.size(2),
        Longest = (reach.LongestKeys + 15) & ~15,
        Distances = (int)(table?.size(1) ?? 0),
        Zero = zero,
        Scale = (float)form.Scale,
        Cap = (float)form.SoftCap,
    };

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

    // The keys that some query of a block sees.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (int Low, int High) Seen(ref State s, int from, int count)
    {
        int low = int.MaxValue, high = 0;
        for (var q = from; q < from + count; q++) (low, high) = (Math.Min(low, s.First[q]), Math.Max(high, s.Last[q]));
        return (low, Math.Max(low, high));
    }

    [UnmanagedCallersOnly]
    private static void ForwardItems(long begin, long end, void* context)
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
    private static void BackwardItems(long begin, long end, void* context)
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

    // One query: p = exp(score − logSum) and ds = scale·bend·p·(dp − Σ g·out), zero where it does not see; bend is the slope of the cap.
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
