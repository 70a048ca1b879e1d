using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// A matrix in NF4 (Dettmers et al. 2023) with quantized scales, equal to bitsandbytes' rounding in every value. The values are in
/// row-major order; every 64 values (a block) share a scale, their largest absolute value, and each value is the nearest of 16 levels times
/// the scale. The scales minus their mean are rounded to a map of 256 levels; every 256 of them share a scale. That is 4.13 bits per value.
/// Inside a block the codes are 16 words of 16 bits, so that one word per lane gives four vectors: value 16·k + j is at bit 4·k of word
/// j.
/// </summary>
public sealed unsafe class Nf4Matrix : QuantizedMatrix
{
    /// <summary>The number of values that share a scale.</summary>
    internal const int Block = 64;

    /// <summary>The number of bytes of a block's codes.</summary>
    internal const int BlockBytes = Block / 2;

    /// <summary>The number of scales that share a scale.</summary>
    internal const int Group = 256;

    /// <summary>The 16 levels: bitsandbytes' <c>create_normal_map(offset=0.9677083)</c>, as its source states them.</summary>
    public static ReadOnlySpan<float> Levels =>
    [
        -1f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
        -0.09105003625154495f, 0f,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
        0.7229568362236023f, 1f,
    ];

    private const long BlocksAtOnce = 1 << 14;

    // The levels of scales. Pinned, so that kernels may hold its address.
    private static readonly float[] book = Pinned(ScaleLevels);

    private readonly Tensor codes, scaleCodes, scaleScales;
    private readonly float mean;

    private Nf4Matrix(
        long rows,
        long columns,
        Tensor codes,
        Tensor scaleCodes,
        Tensor scaleScales,
        float mean) : base(
            rows,
            columns,
            codes,
            scaleCodes,
            scaleScales) =>
                (this.codes, this.scaleCodes, this.scaleScales, this.mean) = (codes, scaleCodes, scaleScales, mean);

    /// <inheritdoc/>
    public override QuantizedForm Form => QuantizedForm.Nf4;

    /// <summary>The code of each value, 0 to 15, in the order of the matrix.</summary>
    public Tensor Codes()
    {
        // [blocks, 16 words, low and high byte] to [blocks, 4 nibbles, 16 words].
        var bytes = codes.view(-1, 16, 2);
        var nibbles = stack([bytes.bitwise_and(15), bytes.bitwise_right_shift(4)], 3).reshape(-1, 16, 4).transpose(1, 2);
        return nibbles.reshape(-1).narrow(0, 0, Rows * Columns);
    }

    /// <summary>The scale of each block.</summary>
    public Tensor Scales()
    {
        var levels = tensor(book, device: Device).index_select(0, scaleCodes.to(ScalarType.Int64));
        return levels * scaleScales.repeat_interleave(Group).narrow(0, 0, scaleCodes.numel()) + mean;
    }

    /// <inheritdoc/>
    public override Tensor Plain()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var levels = tensor(Levels.ToArray(), device: Device).index_select(0, Codes().to(ScalarType.Int64));
        return (levels * Scales().repeat_interleave(Block).narrow(0, 0, levels.numel())).view(Rows, Columns).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override bool TakesFewRows => Columns % Block == 0 && Device.type == DeviceType.CPU;

    /// <inheritdoc/>
    internal override FewRows.Map Map(float* bias, float* y, bool adds) => new()
    {
        Y = y, Bias = bias, Weight = LibTorch.Data(codes), Output = (int)Rows, Type = ScalarType.Byte, Scales = Scale, Adds = adds,
    };

    /// <summary>The addresses of the scales.</summary>
    internal BlockScales Scale =>
        new() { Codes = (byte*)LibTorch.Data(scaleCodes), Scales = (float*)LibTorch.Data(scaleScales), Mean = mean, Book = Pointer(book) };

    /// <inheritdoc/>
    internal override void Widen(long from, long count, Tensor wide)
    {
        var state = new WidenState
        {
            Codes = (byte*)LibTorch.Data(codes), Scales = Scale, First = from * Columns, End = (from + count) * Columns,
            To = (float*)LibTorch.Data(wide),
        };
        var first = state.First / Block;
        Team.For((state.End + Block - 1) / Block - first, 256, &Widen, &state);
        GC.KeepAlive(this);
        GC.KeepAlive(wide);
    }

    private struct WidenState
    {
        internal byte* Codes;
        internal BlockScales Scales;
        internal long First, End;
        internal float* To;
    }

    private static void Widen(long begin, long end, void* context)
    {
        ref var s = ref *(WidenState*)context;
        var table = Nf4Lookup.Of(Levels);
        var room = stackalloc float[Block];
        var start = s.First / Block;
        for (var block = start + begin; block < start + end; block++)
        {
            // A slice of rows may begin and end inside a block.
            long place = block * Block, from = Math.Max(place, s.First), to = Math.Min(place + Block, s.End);
            var whole = to - from == Block;
            var target = whole ? s.To + (place - s.First) : room;
            var words = Nf4Lookup.Words(s.Codes + block * BlockBytes);
            var scale = Vector512.Create(s.Scales.Of(block));
            (table.At(words) * scale).Store(target);
            (table.At(Vector512.ShiftRightLogical(words, 4)) * scale).Store(target + 16);
            (table.At(Vector512.ShiftRightLogical(words, 8)) * scale).Store(target + 32);
            (table.At(Vector512.ShiftRightLogical(words, 12)) * scale).Store(target + 48);
            if (!whole)
                new ReadOnlySpan<float>(room + (from - place), (int)(to - from))
                    .CopyTo(new Span<float>(s.To + (from - s.First), (int)(to - from)));
        }
    }

    /// <summary>Quantizes a matrix.</summary>
    /// <param name="weight">W [out, in].</param>
    /// <param name="plain">Whether to use libtorch's operations instead of the kernel.</param>
    public static Nf4Matrix Of(Tensor weight, bool plain = false)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using var frozen = no_grad();
        long rows = weight.size(0), columns = weight.size(1), count = rows * columns, blocks = (count + Block - 1) / Block;
        var flat = weight.detach().contiguous().view(-1);
        Tensor codes = empty(
            blocks,
            16,
            2,
            dtype: ScalarType.Byte,
            device: weight.device),
            largest = empty(blocks, device: weight.device);
        // Some blocks at a time, because the temporary memory of rounding is several times that of the values.
        for (long from = 0; from < blocks; from += BlocksAtOnce)
        {
            using var scope = NewDisposeScope();
            var size = Math.Min(BlocksAtOnce, blocks - from);
            var numbers = flat.narrow(0, from * Block, Math.Min(size * Block, count - from * Block)).to(ScalarType.Float32);
            if (numbers.numel() < size * Block) numbers = cat([numbers, zeros(size * Block - numbers.numel(), device: weight.device)]);
            Tensor some = codes.narrow(0, from, size), top = largest.narrow(0, from, size);
            if (plain) Nf4Rounding.Plain(numbers.view(size, Block), some, top);
            else Nf4Rounding.Round(numbers.view(size, Block), some, top);
        }

        var mean = largest.mean();
        var rest = largest - mean;
        var groups = (blocks + Group - 1) / Group;
        if (blocks % Group != 0) rest = cat([rest, zeros(groups * Group - blocks, device: weight.device)]);
        var (scaleCodes, scaleScales) = Nf4Rounding.Places(rest.view(groups, Group), Nf4Rounding.Middles(book).to(weight.device));
        return new Nf4Matrix(
            rows,
            columns,
            codes,
            scaleCodes.view(-1).narrow(0, 0, blocks).to(ScalarType.Byte).contiguous(),
            scaleScales.contiguous(),
            mean.item<float>());
    }

    /// <summary>
    /// The 256 levels of a scale: bitsandbytes' <c>create_dynamic_map()</c> - decades down to 10⁻⁶, each with twice as many steps as
    /// the one below (Dettmers 2016).
    /// </summary>
    public static float[] ScaleLevels()
    {
        var levels = new List<float> { 0, 1 };
        for (var decade = 0; decade < 7; decade++)
        {
            var count = 1 << decade;
            // PyTorch's linspace from 0.1 to 1 as its vector code rounds it. The result here is the same on every CPU; libtorch's own
            // depends on the CPU's instructions.
            var step = (1 - 0.1f) / count;
            float Edge(int i) => i < (count + 1) / 2 ? MathF.FusedMultiplyAdd(step, i, 0.1f) : MathF.FusedMultiplyAdd(-step, count - i, 1);
            var power = (float)Math.Pow(10, decade - 6);
            for (var i = 0; i < count; i++)
            {
                var level = (Edge(i) + Edge(i + 1)) / 2 * power;
                levels.AddRange([level, -level]);
            }
        }
        levels.Sort();
        return [.. levels];
    }

    private static float[] Pinned(Func<float[]> make)
    {
        var made = make();
        var held = GC.AllocateArray<float>(made.Length, pinned: true);
        made.CopyTo(held, 0);
        return held;
    }

    private static float* Pointer(float[] pinned) => (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(pinned));
}
