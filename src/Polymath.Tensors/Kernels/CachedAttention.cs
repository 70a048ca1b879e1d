using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Attention of new tokens over keys and values kept from before, for generating. No gradient.</summary>
public static unsafe class CachedAttention
{
    struct State
    {
        internal float* Query, Keys, Values, Out;
        internal int* Slots, Lengths;
        internal int Heads, KeyHeads, Width, Capacity, Longest;
        internal float Scale;
    }

    /// <summary>
    /// Attention of query [tokens, heads, D] over keys and values [slots, keyValueHeads, capacity, D]. Token t reads the first lengths[t] places of the
    /// slot slots[t]. 32-bit floats on the CPU; elsewhere the same in libtorch's operations.
    /// </summary>
    public static Tensor Of(Tensor query, Tensor keys, Tensor values, int[] slots, int[] lengths, double scale)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(slots);
        ArgumentNullException.ThrowIfNull(lengths);
        if (!FastPath.Takes(query, keys, values)) return Plain(query, keys, values, slots, lengths, scale);
        var result = empty_like(query);
        fixed (int* s = slots, l = lengths)
        {
            var state = new State
            {
                Query = (float*)LibTorch.Data(query),
                Keys = (float*)LibTorch.Data(keys),
                Values = (float*)LibTorch.Data(values),
                Out = (float*)LibTorch.Data(result),
                Slots = s,
                Lengths = l,
                Heads = (int)query.shape[1],
                KeyHeads = (int)keys.shape[1],
                Width = (int)query.shape[2],
                Capacity = (int)keys.shape[2],
                Longest = lengths.Length == 0 ? 0 : lengths.Max(),
                Scale = (float)scale,
            };
            LibTorch.For(query.shape[0] * state.Heads, 4, &Items, &state);
        }
        GC.KeepAlive(query);
        return result;
    }

    /// <summary>Puts fresh [tokens, keyValueHeads, D] into a cache [slots, keyValueHeads, capacity, D]: token t at place places[t] of slot slots[t].</summary>
    public static void Store(Tensor cache, Tensor fresh, int[] slots, int[] places)
    {
        ArgumentNullException.ThrowIfNull(cache);
        ArgumentNullException.ThrowIfNull(fresh);
        ArgumentNullException.ThrowIfNull(slots);
        ArgumentNullException.ThrowIfNull(places);
        if (!FastPath.Takes(cache, fresh))
        {
            for (var t = 0; t < slots.Length; t++) cache[slots[t]].select(1, places[t]).copy_(fresh[t]);
            return;
        }
        float* from = (float*)LibTorch.Data(fresh), to = (float*)LibTorch.Data(cache);
        long heads = cache.shape[1], capacity = cache.shape[2], width = cache.shape[3];
        for (var t = 0; t < slots.Length; t++)
            for (long head = 0; head < heads; head++)
                new ReadOnlySpan<float>(from + (t * heads + head) * width, (int)width)
                    .CopyTo(new Span<float>(to + ((slots[t] * heads + head) * capacity + places[t]) * width, (int)width));
        GC.KeepAlive(fresh);
    }

    /// <summary>The same in libtorch's operations, token by token.</summary>
    public static Tensor Plain(Tensor query, Tensor keys, Tensor values, int[] slots, int[] lengths, double scale)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(slots);
        ArgumentNullException.ThrowIfNull(lengths);
        var group = query.shape[1] / keys.shape[1];
        var rows = new Tensor[slots.Length];
        for (var t = 0; t < slots.Length; t++)
        {
            Tensor Seen(Tensor kept) => kept[slots[t]].narrow(1, 0, lengths[t]).repeat_interleave(group, 0);
            var weights = (query[t].unsqueeze(1).matmul(Seen(keys).transpose(1, 2)) * scale).softmax(-1);
            rows[t] = weights.matmul(Seen(values)).squeeze(1);
        }
        return stack(rows, 0);
    }

    [UnmanagedCallersOnly]
    static void Items(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var weights = (float*)NativeMemory.AlignedAlloc((nuint)(s.Longest + 8) * sizeof(float), 64);
        for (var item = begin; item < end; item++)
        {
            long token = item / s.Heads, head = item % s.Heads;
            var kept = ((long)s.Slots[token] * s.KeyHeads + head / (s.Heads / s.KeyHeads)) * s.Capacity * s.Width;
            float* q = s.Query + item * s.Width, k = s.Keys + kept, v = s.Values + kept, y = s.Out + item * s.Width;
            var length = s.Lengths[token];
            for (var j = 0; j < length; j++) weights[j] = s.Scale * Vectors.Dot(q, k + (long)j * s.Width, s.Width);
            var sum = Vectors.ExpSum(weights, Vectors.Max(weights, length, float.NegativeInfinity), length);
            new Span<float>(y, s.Width).Clear();
            for (var j = 0; j < length; j++) Vectors.AddScaled(y, v + (long)j * s.Width, weights[j] / sum, s.Width);
        }
        NativeMemory.AlignedFree(weights);
    }
}
