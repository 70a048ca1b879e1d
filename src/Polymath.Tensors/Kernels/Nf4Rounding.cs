using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Rounds blocks of 64 values to NF4's 16 levels: each value, divided by the largest absolute value of its block, goes to the nearest
/// level. The kernel finds a value's place among the 15 midpoints between levels in four halvings, 16 values at a time; <see cref="Plain"/>
/// is the same in libtorch's operations, bit for bit, on any device.
/// </summary>
internal static unsafe class Nf4Rounding
{
    private const int Lanes = 16, Nibbles = Nf4Matrix.Block / Lanes;

    /// <summary>The codes and the largest absolute values of whole blocks.</summary>
    /// <param name="numbers">[blocks, 64] in 32 bits.</param>
    /// <param name="codes">The destination of the codes, [blocks, 16 words, 2] bytes.</param>
    /// <param name="largest">The destination of the largest values, [blocks].</param>
    internal static void Round(Tensor numbers, Tensor codes, Tensor largest)
    {
        if (!FastPath.Takes(numbers))
        {
            Plain(numbers, codes, largest);
            return;
        }
        Span<float> middles = stackalloc float[Lanes];
        for (var i = 0; i + 1 < Nf4Matrix.Levels.Length; i++) middles[i] = (Nf4Matrix.Levels[i] + Nf4Matrix.Levels[i + 1]) / 2;
        fixed (float* first = middles)
        {
            var state = new State
            {
                From = (float*)LibTorch.Data(numbers), Codes = (byte*)LibTorch.Data(codes), Largest = (float*)LibTorch.Data(largest),
                Middles = first,
            };
            Team.For(numbers.size(0), 256, &Blocks, &state);
        }
        GC.KeepAlive(numbers);
        GC.KeepAlive(codes);
        GC.KeepAlive(largest);
    }

    private struct State
    {
        internal float* From, Largest, Middles;
        internal byte* Codes;
    }

    private static void Blocks(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var middles = Nf4Lookup.Of(new ReadOnlySpan<float>(s.Middles, Lanes));
        for (var block = begin; block < end; block++)
        {
            var x = s.From + block * Nf4Matrix.Block;
            Vector512<float> a = Vector512.Load(x),
                b = Vector512.Load(x + Lanes),
                c = Vector512.Load(x + 2 * Lanes),
                d = Vector512.Load(x + 3 * Lanes);
            var top = Largest(a, b, c, d);
            s.Largest[block] = top;
            // In a block with NaN, the largest value is NaN, and all values go to the last level, as in libtorch.
            var scale = Vector512.Create(1 / (top < 1e-38f ? 1e-38f : top));
            var words = Place(a * scale, in middles) | Vector512.ShiftLeft(Place(b * scale, in middles), 4)
                | Vector512.ShiftLeft(Place(c * scale, in middles), 8) | Vector512.ShiftLeft(Place(d * scale, in middles), 12);
            Vector256.Narrow(words.GetLower(), words.GetUpper()).Store((ushort*)(s.Codes + block * Nf4Matrix.BlockBytes));
        }
    }

    private static float Largest(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var all = Vector512.Max(Vector512.Max(Vector512.Abs(a), Vector512.Abs(b)), Vector512.Max(Vector512.Abs(c), Vector512.Abs(d)));
        // Max propagates NaN, as in libtorch.
        var half = Vector256.Max(all.GetLower(), all.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return MathF.Max(MathF.Max(quarter[0], quarter[1]), MathF.Max(quarter[2], quarter[3]));
    }

    // The number of midpoints below a value; NaN counts as above all of them.
    private static Vector512<uint> Place(Vector512<float> x, in Nf4Lookup middles)
    {
        Vector512<uint> place = default;
        for (uint step = 8; step > 0; step /= 2)
        {
            var middle = middles.At(place + Vector512.Create(step - 1));
            place += Vector512.AndNot(Vector512.Create(step), Vector512.LessThanOrEqual(x, middle).AsUInt32());
        }
        return place;
    }

    /// <summary>The same in libtorch's operations.</summary>
    /// <param name="numbers">[blocks, 64] in 32 bits.</param>
    /// <param name="codes">The destination of the codes, [blocks, 16 words, 2] bytes.</param>
    /// <param name="largest">The destination of the largest values, [blocks].</param>
    internal static void Plain(Tensor numbers, Tensor codes, Tensor largest)
    {
        using var scope = NewDisposeScope();
        var (some, top) = Places(numbers, Middles(Nf4Matrix.Levels).to(numbers.device));
        largest.copy_(top);
        // Four values in a word: [blocks, nibble, word] to one byte with values 0 and 1, one with 2 and 3.
        var turned = some.view(numbers.size(0), Nibbles, Lanes);
        codes.copy_(stack([turned.select(1, 0) + turned.select(1, 1) * 16, turned.select(1, 2) + turned.select(1, 3) * 16], 2));
    }

    /// <summary>Turns rows of values, divided by each row's largest, into indices of levels.</summary>
    /// <param name="table">The rows.</param>
    /// <param name="middles">The midpoints between levels.</param>
    internal static (Tensor Codes, Tensor Largest) Places(Tensor table, Tensor middles)
    {
        var largest = table.abs().amax(1);
        return (bucketize((table * (1 / largest.clamp(min: 1e-38f)).unsqueeze(1)).clamp(-1, 1), middles, outInt32: true), largest);
    }

    /// <summary>The midpoints between levels.</summary>
    /// <param name="levels">The levels, in order.</param>
    internal static Tensor Middles(ReadOnlySpan<float> levels)
    {
        var all = tensor(levels.ToArray());
        return (all.narrow(0, 0, levels.Length - 1) + all.narrow(0, 1, levels.Length - 1)) / 2;
    }
}
