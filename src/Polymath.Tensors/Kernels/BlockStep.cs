using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>A linear map: W [out, in], plain or quantized, and b [out] or null.</summary>
public readonly record struct BlockMap
{
    /// <summary>A map with a plain weight.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b.</param>
    public BlockMap(Tensor weight, Tensor? bias) => (Weight, Bias) = (weight, bias);

    /// <summary>A map with a quantized weight.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b.</param>
    public BlockMap(QuantizedMatrix weight, Tensor? bias) => (Quantized, Bias) = (weight, bias);

    /// <summary>The plain W, or null.</summary>
    public Tensor? Weight { get; }

    /// <summary>The quantized W, or null.</summary>
    public QuantizedMatrix? Quantized { get; }

    /// <summary>b, or null.</summary>
    public Tensor? Bias { get; }

    /// <summary>The width it maps to.</summary>
    public long Output => Quantized?.Rows ?? Weight!.size(0);

    /// <summary>The object that holds the weight.</summary>
    internal object? Holder => (object?)Quantized ?? Weight;
}

/// <summary>The weights of a block of Llama's kind: norms before each part, grouped-query attention, and a silu gate.</summary>
/// <param name="Before">The norm before attention [hidden].</param>
/// <param name="Query">The query's map.</param>
/// <param name="Key">The key's.</param>
/// <param name="Value">The value's.</param>
/// <param name="QueryNorm">A norm over each head of queries [D], or null.</param>
/// <param name="KeyNorm">A norm over each head of keys [D], or null.</param>
/// <param name="Output">Attention's output.</param>
/// <param name="Between">The norm before the feed-forward part [hidden].</param>
/// <param name="Gate">The gate map.</param>
/// <param name="Up">The up map.</param>
/// <param name="Down">The down map.</param>
/// <param name="Epsilon">The ε of the norms.</param>
/// <param name="HeadEpsilon">The ε of the norms over heads.</param>
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
/// A whole block for the few new tokens of generation. Between two reads of weights there is only arithmetic on data in the cores' caches:
/// no tensors and no library calls, which would cost a third of a small model's time. The formulas are those of the parts, in the same
/// order.
/// </summary>
public static unsafe class BlockStep
{
    // The least part of a norm for which starting a thread is worthwhile.
    private const int NormElements = 4096;

    /// <summary>Whether a block can be computed in this way.</summary>
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

    /// <summary>Runs the residual stream through the block, in place; the tokens' keys and values are written to the cache.</summary>
    /// <param name="x">[n, hidden].</param>
    /// <param name="w">The weights.</param>
    /// <param name="cosine">The cosines of the tokens' angles [n, R/2].</param>
    /// <param name="sine">The sines.</param>
    /// <param name="interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
    /// <param name="keys">The layer's keys [slots, keyValueHeads, capacity, D].</param>
    /// <param name="values">Its values.</param>
    /// <param name="reach">The places that each token reads, including itself.</param>
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
        var room = new Room(x, w, keys);
        Look(
            in room,
            w,
            (cosine, sine, interleaved),
            keys,
            values,
            reach,
            form);
        Feed(in room, w);
        NativeMemory.AlignedFree(room.Normed);
        GC.KeepAlive(w);
    }

    // The intermediate results between the parts of a block, in one piece of memory.
    private readonly struct Room
    {
        internal readonly int Rows, Hidden, Width, KeyHeads, Heads, Inner;
        internal readonly float* Stream, Normed, Query, Mixed, Key, Value, Gate, Up;

        internal Room(Tensor x, BlockWeights w, Tensor keys)
        {
            (Rows, Hidden, Width, KeyHeads) = ((int)x.size(0), (int)x.size(1), (int)keys.size(3), (int)keys.size(1));
            (Heads, Inner) = ((int)w.Query.Output / Width, (int)w.Gate.Output);
            int wide = Heads * Width, shared = KeyHeads * Width;
            var bytes = (nuint)(Rows * ((long)Hidden + 2 * wide + 2 * shared + 2 * Inner) * sizeof(float));
            Stream = (float*)LibTorch.Data(x);
            Normed = (float*)NativeMemory.AlignedAlloc(bytes, 64);
            Query = Normed + Rows * Hidden;
            Mixed = Query + Rows * wide;
            Key = Mixed + Rows * wide;
            Value = Key + Rows * shared;
            Gate = Value + Rows * shared;
            Up = Gate + Rows * Inner;
        }
    }

    // Attention, and its addition to the stream.
    private static void Look(
        in Room room,
        BlockWeights w,
        (Tensor Cosine, Tensor Sine, bool Interleaved) turns,
        Tensor keys,
        Tensor values,
        CachedReach reach,
        AttentionForm form)
    {
        var maps = stackalloc FewRows.Map[3];
        Norm(room.Stream, w.Before, room.Normed, (room.Rows, room.Hidden, w.Epsilon));
        (maps[0], maps[1], maps[2]) = (Map(w.Query, room.Query), Map(w.Key, room.Key), Map(w.Value, room.Value));
        FewRows.Run(
            room.Normed,
            room.Rows,
            room.Hidden,
            maps,
            3);
        if (w.QueryNorm is not null)
        {
            Norm(room.Query, w.QueryNorm, room.Query, (room.Rows * room.Heads, room.Width, w.HeadEpsilon));
            Norm(room.Key, w.KeyNorm!, room.Key, (room.Rows * room.KeyHeads, room.Width, w.HeadEpsilon));
        }
        Turn(in room, room.Query, room.Heads, turns);
        Turn(in room, room.Key, room.KeyHeads, turns);
        Store(in room, keys, room.Key, reach);
        Store(in room, values, room.Value, reach);
        Attend(in room, (keys, values), reach, form);
        maps[0] = Map(w.Output, room.Stream, adds: true);
        FewRows.Run(
            room.Mixed,
            room.Rows,
            room.Heads * room.Width,
            maps,
            1);
    }

    // The feed-forward part, and its addition to the stream.
    private static void Feed(in Room room, BlockWeights w)
    {
        var maps = stackalloc FewRows.Map[2];
        Norm(room.Stream, w.Between, room.Normed, (room.Rows, room.Hidden, w.Epsilon));
        (maps[0], maps[1]) = (Map(w.Gate, room.Gate), Map(w.Up, room.Up));
        FewRows.Run(
            room.Normed,
            room.Rows,
            room.Hidden,
            maps,
            2);
        SwiGlu.Share(room.Gate, room.Up, (long)room.Rows * room.Inner);
        maps[0] = Map(w.Down, room.Stream, adds: true);
        FewRows.Run(
            room.Gate,
            room.Rows,
            room.Inner,
            maps,
            1);
    }

    private static FewRows.Map Map(BlockMap map, float* y, bool adds = false) => FewRows.Map.Of(map, y, adds);

    private struct Norms
    {
        internal float* X, Weight, Y;
        internal int Width;
        internal float Epsilon;
    }

    private static void Norm(float* x, Tensor weight, float* y, (int Rows, int Width, double Epsilon) size)
    {
        var state = new Norms { X = x, Weight = (float*)LibTorch.Data(weight), Y = y, Width = size.Width, Epsilon = (float)size.Epsilon };
        Team.For(size.Rows, Math.Max(1, NormElements / size.Width), &NormRows, &state);
    }

    private static void NormRows(long begin, long end, void* context)
    {
        ref var s = ref *(Norms*)context;
        for (var row = begin; row < end; row++)
            RmsNorm.Row(
                s.X + row * s.Width,
                s.Weight,
                s.Y + row * s.Width,
                s.Width,
                s.Epsilon);
    }

    private static void Turn(in Room room, float* x, int heads, (Tensor Cosine, Tensor Sine, bool Interleaved) turns)
    {
        float* cosine = (float*)LibTorch.Data(turns.Cosine), sine = (float*)LibTorch.Data(turns.Sine);
        var half = (int)turns.Cosine.size(1);
        for (var row = 0; row < room.Rows; row++)
            for (var head = 0; head < heads; head++, x += room.Width)
                if (turns.Interleaved)
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

    private static void Store(in Room room, Tensor cache, float* fresh, CachedReach reach)
    {
        var to = (float*)LibTorch.Data(cache);
        var capacity = cache.size(2);
        for (var row = 0; row < reach.Slots.Length; row++)
            for (long head = 0; head < room.KeyHeads; head++, fresh += room.Width)
            {
                var place = ((long)reach.Slots[row] * room.KeyHeads + head) * capacity + reach.Places[row];
                new ReadOnlySpan<float>(fresh, room.Width).CopyTo(new Span<float>(to + place * room.Width, room.Width));
            }
    }

    private static void Attend(in Room room, (Tensor Keys, Tensor Values) cache, CachedReach reach, AttentionForm form)
    {
        fixed (int* slots = reach.Slots, first = reach.First, last = reach.Last, places = reach.Places)
        fixed (int* origins = reach.Origins, shared = reach.Shared)
        {
            var state = new CachedAttention.State
            {
                Query = room.Query, Keys = (float*)LibTorch.Data(cache.Keys), Values = (float*)LibTorch.Data(cache.Values),
                Out = room.Mixed,
                Slots = slots, First = first, Last = last, Places = places, Origins = origins, Shared = shared,
                Heads = room.Heads, KeyHeads = room.KeyHeads, Width = room.Width, Capacity = (int)cache.Keys.size(2),
                Longest = reach.Last.Max(), Scale = (float)form.Scale, Cap = (float)form.SoftCap,
            };
            CachedAttention.Run(room.Rows, ref state);
        }
    }
}
