using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Rounds blocks of 64 numbers to NF4's 16 levels: each number, over the largest absolute value of its block, goes to the nearest level.
/// The kernel finds a number's place among the 15 middles between levels in four halvings, 16 numbers at a time; <see cref="Plain"/> is the
/// same in libtorch's operations, bit for bit, and takes any device.
/// </summary>
static unsafe class Nf4Rounding
{
    private const int Lanes = 16, Nibbles = Nf4Matrix.Block / Lanes;

    /// <summary>The codes and the largest absolute values of whole blocks.</summary>
    /// <param name="numbers">[blocks, 64] in 32 bits.</param>
    /// <param name="codes">Where the codes go, [blocks, 16 words, 2] bytes.</param>
    /// <param name="largest">Where the largest values go, [blocks].</param>
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
            // A block that holds no number has no largest one either, and goes to the last level as in libtorch.
            var scale = Vector512.Create(1 / (top < 1e-38f ? 1e-38f : top));
            var words = Place(a * scale, in middles) | Vector512.ShiftLeft(Place(b * scale, in middles), 4)
                | Vector512.ShiftLeft(Place(c * scale, in middles), 8) | Vector512.ShiftLeft(Place(d * scale, in middles), 12);
            Vector256.Narrow(words.GetLower(), words.GetUpper()).Store((ushort*)(s.Codes + block * Nf4Matrix.BlockBytes));
        }
    }

    private static float Largest(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var all = Vector512.Max(Vector512.Max(Vector512.Abs(a), Vector512.Abs(b)), Vector512.Max(Vector512.Abs(c), Vector512.Abs(d)));
        // Max gives what is not a number on, as libtorch does.
        var half = Vector256.Max(all.GetLower(), all.GetUpper());
        var quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return MathF.Max(MathF.Max(quarter[0], quarter[1]), MathF.Max(quarter[2], quarter[3]));
    }

    // How many middles a number is above; one that is not a number is above all.
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
    /// <param name="codes">Where the codes go, [blocks, 16 words, 2] bytes.</param>
    /// <param name="largest">Where the largest values go, [blocks].</param>
    internal static void Plain(Tensor numbers, Tensor codes, Tensor largest)
    {
        using var scope = NewDisposeScope();
        var (some, top) = Places(numbers, Middles(Nf4Matrix.Levels).to(numbers.device));
        largest.copy_(top);
        // Four numbers to a word: [blocks, nibble, word] to one byte of numbers 0 and 1, one of 2 and 3.
        var turned = some.view(numbers.size(0), Nibbles, Lanes);
        codes.copy_(stack([turned.select(1, 0) + turned.select(1, 1) * 16, turned.select(1, 2) + turned.select(1, 3) * 16], 2));
    }

    /// <summary>Rows of numbers as places among levels, times each row's largest.</summary>
    /// <param name="table">The rows.</param>
    /// <param name="middles">The middles between levels.</param>
    internal static (Tensor Codes, Tensor Largest) Places(Tensor table, Tensor middles)
    {
        var largest = table.abs().amax(1);
        return (bucketize((table * (1 / largest.clamp(min: 1e-38f)).unsqueeze(1)).clamp(-1, 1), middles, outInt32: true), largest);
    }

    /// <summary>The middles between levels.</summary>
    /// <param name="levels">The levels, in order.</param>
    internal static Tensor Middles(ReadOnlySpan<float> levels)
    {
        var all = tensor(levels.ToArray());
        return (all.narrow(0, 0, levels.Length - 1) + all.narrow(0, 1, levels.Length - 1)) / 2;
    }
}
