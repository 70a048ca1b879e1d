using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>A linear map: W [out, in], as numbers or in few bits, and b [out] or null.</summary>
public readonly record struct BlockMap
{
    /// <summary>A map of numbers.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b.</param>
    public BlockMap(Tensor weight, Tensor? bias) => (Weight, Bias) = (weight, bias);

    /// <summary>A map whose weight is held in few bits.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b.</param>
    public BlockMap(QuantizedMatrix weight, Tensor? bias) => (Quantized, Bias) = (weight, bias);

    /// <summary>W as numbers, or null.</summary>
    public Tensor? Weight { get; }

    /// <summary>W in few bits, or null.</summary>
    public QuantizedMatrix? Quantized { get; }

    /// <summary>b, or null.</summary>
    public Tensor? Bias { get; }

    /// <summary>The width it maps to.</summary>
    public long Output => Quantized?.Rows ?? Weight!.size(0);

    /// <summary>What holds the weight.</summary>
    internal object? Holder => (object?)Quantized ?? Weight;
}

/// <summary>The weights of a block that norms before each part, attends with grouped queries and gates with silu: Llama's kind.</summary>
/// <param name="Before">The norm before attention [hidden].</param>
/// <param name="Query">The query's map.</param>
/// <param name="Key">The key's.</param>
/// <param name="Value">The value's.</param>
/// <param name="QueryNorm">A norm over each head of queries [D], or null.</param>
/// <param name="KeyNorm">A norm over each head of keys [D], or null.</param>
/// <param name="Output">Attention's output.</param>
/// <param name="Between">The norm before the feed-forward part [hidden].</param>
/// <param name="Gate">The gate.</param>
/// <param name="Up">The way up.</param>
/// <param name="Down">The way down.</param>
/// <param name="Epsilon">What the norms add.</param>
/// <param name="HeadEpsilon">What the norms over heads add.</param>
public sealed record BlockWeights(
    Tensor Before,
    BlockMap Query,
    BlockMap Key,
    BlockMap Value,
    Tensor? QueryNorm,
    Tensor? KeyNorm,
    BlockMap Output,
    Tensor Between,
    BlockMap Gate,
    BlockMap Up,
    BlockMap Down,
    double Epsilon,
    double HeadEpsilon);

/// <summary>
/// A whole block for the few new tokens of generating. Between two readings of weights lies only arithmetic on what the cores hold already:
/// no tensors, no calls of the library, whose cost would be a third of a small model's time. The formulas are those of the parts, applied
/// in the same order.
/// </summary>
public static unsafe class BlockStep
{
    /// <summary>Whether a block can go this way.</summary>
    /// <param name="x">The residual stream [n, hidden].</param>
    /// <param name="w">The weights.</param>
    public static bool Takes(Tensor x, BlockWeights w)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(w);
        return !is_grad_enabled() && FewRows.Takes(x, w.Query) && Fits(w.Query) && Fits(w.Key)
            && Fits(w.Value) && Fits(w.Output) && Fits(w.Gate) && Fits(w.Up) && Fits(w.Down)
            && FastPath.Takes(w.Before, w.Between) && (w.QueryNorm is null || FastPath.Takes(w.QueryNorm, w.KeyNorm!));
    }

    private static bool Fits(BlockMap map) => (map.Bias is null || FastPath.Takes(map.Bias)) && (map.Quantized is { } few
        ? few.TakesFewRows
        : map.Weight!.dtype is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16
            && map.Weight.device_type == DeviceType.CPU && map.Weight.is_contiguous());

    /// <summary>Takes the residual stream through the block, in place; the tokens' keys and values are put into the cache.</summary>
    /// <param name="x">[n, hidden].</param>
    /// <param name="w">The weights.</param>
    /// <param name="cosine">The tokens' turns [n, R/2].</param>
    /// <param name="sine">The same.</param>
    /// <param name="interleaved">Whether neighbours pair, not halves.</param>
    /// <param name="keys">The layer's keys [slots, keyValueHeads, capacity, D].</param>
    /// <param name="values">Its values.</param>
    /// <param name="reach">What each token reads, itself included.</param>
    /// <param name="form">How scores become weights.</param>
    public static void Run(
        Tensor x,
        BlockWeights w,
        Tensor cosine,
        Tensor sine,
        bool interleaved,
        Tensor keys,
        Tensor values,
        CachedReach reach,
        AttentionForm form)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(w);
        ArgumentNullException.ThrowIfNull(cosine);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        int n = (int)x.size(0),
            hidden = (int)x.size(1),
            width = (int)keys.size(3),
            keyHeads = (int)keys.size(1),
            heads = (int)w.Query.Output / width,
            inner = (int)w.Gate.Output;
        int wide = heads * width, shared = keyHeads * width;
        var room = (float*)NativeMemory.AlignedAlloc((nuint)(n * ((long)hidden + 2 * wide + 2 * shared + 2 * inner) * sizeof(float)), 64);
        float* stream = (float*)LibTorch.Data(x), normed = room, q = normed
            + n * hidden, mixed = q + n * wide, k = mixed + n * wide, v = k + n * shared, gate = v + n * shared, up = gate + n * inner;
        var maps = stackalloc FewRows.Map[3];

        Norm(
            stream,
            w.Before,
            normed,
            n,
            hidden,
            w.Epsilon);
        (maps[0], maps[1], maps[2]) = (Map(w.Query, q), Map(w.Key, k), Map(w.Value, v));
        FewRows.Run(
            normed,
            n,
            hidden,
            maps,
            3);
        if (w.QueryNorm is not null)
        {
            Norm(
                q,
                w.QueryNorm,
                q,
                n * heads,
                width,
                w.HeadEpsilon);
            Norm(
                k,
                w.KeyNorm!,
                k,
                n * keyHeads,
                width,
                w.HeadEpsilon);
        }
        float* c = (float*)LibTorch.Data(cosine), s = (float*)LibTorch.Data(sine);
        var half = (int)cosine.size(1);
        Turn(
            q,
            n,
            heads,
            width,
            c,
            s,
            half,
            interleaved);
        Turn(
            k,
            n,
            keyHeads,
            width,
            c,
            s,
            half,
            interleaved);
        Store(
            keys,
            k,
            reach,
            keyHeads,
            width);
        Store(
            values,
            v,
            reach,
            keyHeads,
            width);
        Attend(
            q,
            mixed,
            keys,
            values,
            reach,
            form,
            n,
            heads);

        maps[0] = Map(w.Output, stream, adds: true);
        FewRows.Run(
            mixed,
            n,
            wide,
            maps,
            1);
        Norm(
            stream,
            w.Between,
            normed,
            n,
            hidden,
            w.Epsilon);
        (maps[0], maps[1]) = (Map(w.Gate, gate), Map(w.Up, up));
        FewRows.Run(
            normed,
            n,
            hidden,
            maps,
            2);
        SwiGlu.Gated(gate, up, gate, (long)n * inner);
        maps[0] = Map(w.Down, stream, adds: true);
        FewRows.Run(
            gate,
            n,
            inner,
            maps,
            1);
        NativeMemory.AlignedFree(room);
        GC.KeepAlive(w);
    }

    private static FewRows.Map Map(BlockMap map, float* y, bool adds = false) => FewRows.Map.Of(map, y, adds);

    private static void Norm(
        float* x,
        Tensor weight,
        float* y,
        int rows,
        int width,
        double epsilon)
    {
        var w = (float*)LibTorch.Data(weight);
        for (long row = 0; row < rows; row++)
            RmsNorm.Row(
                x + row * width,
                w,
                y + row * width,
                width,
                (float)epsilon);
    }

    private static void Turn(
        float* x,
        int rows,
        int heads,
        int width,
        float* cosine,
        float* sine,
        int half,
        bool interleaved)
    {
        for (var row = 0; row < rows; row++)
            for (var head = 0; head < heads; head++, x += width)
                if (interleaved)
                    Rotation.Neighbours(
                        x,
                        x,
                        cosine + row * half,
                        sine + row * half,
                        half,
                        1);
                else
                    Rotation.Halves(
                        x,
                        x,
                        cosine + row * half,
                        sine + row * half,
                        half,
                        1);
    }

    private static void Store(
        Tensor cache,
        float* fresh,
        CachedReach reach,
        int heads,
        int width)
    {
        var to = (float*)LibTorch.Data(cache);
        var capacity = cache.size(2);
        for (var row = 0; row < reach.Slots.Length; row++)
            for (long head = 0; head < heads; head++, fresh += width)
                new ReadOnlySpan<float>(fresh, width)
                    .CopyTo(new Span<float>(to + (((long)reach.Slots[row] * heads + head) * capacity + reach.Places[row]) * width, width));
    }

    private static void Attend(
        float* query,
        float* mixed,
        Tensor keys,
        Tensor values,
        CachedReach reach,
        AttentionForm form,
        int rows,
        int heads)
    {
        fixed (int* slots = reach.Slots, first = reach.First, last = reach.Last, places = reach.Places)
        {
            var state = new CachedAttention.State
            {
                Query = query, Keys = (float*)LibTorch.Data(keys), Values = (float*)LibTorch.Data(values), Out = mixed, Slots = slots,
                First = first, Last = last, Places = places,
                Heads = heads, KeyHeads = (int)keys.size(1), Width = (int)keys.size(3), Capacity = (int)keys.size(2),
                Longest = reach.Last.Max(), Scale = (float)form.Scale, Cap = (float)form.SoftCap,
            };
            CachedAttention.Run(rows, ref state);
        }
    }
}
