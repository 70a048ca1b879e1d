using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Σ x² of a tensor, for the norm of a gradient: summed in fixed blocks, in double precision over the blocks, with the same bits for any
/// number of threads.
/// </summary>
public static unsafe class SquareSum
{
    private const int Block = 16384;

    private struct State
    {
        internal float* X;
        internal double* Sums;
        internal long Count;
    }

    /// <summary>The sum of the squares of all elements; not finite when an element is not finite.</summary>
    public static double Of(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!FastPath.Takes(x))
        {
            using var squares = x.to(ScalarType.Float64).square();
            using var sum = squares.sum();
            return sum.item<double>();
        }
        var blocks = (x.numel() + Block - 1) / Block;
        var sums = new double[blocks];
        fixed (double* s = sums)
        {
            var state = new State { X = (float*)LibTorch.Data(x), Sums = s, Count = x.numel() };
            LibTorch.For(blocks, 2, &Run, &state);
        }
        GC.KeepAlive(x);
        return sums.Sum();
    }

    [UnmanagedCallersOnly]
    private static void Run(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var block = begin; block < end; block++)
        {
            long from = block * Block, to = Math.Min(from + Block, s.Count);
            Vector256<float> low = default, high = default;
            var i = from;
            for (; i <= to - 16; i += 16)
            {
                Vector256<float> a = Vector256.Load(s.X + i), b = Vector256.Load(s.X + i + 8);
                low = Vector256.FusedMultiplyAdd(a, a, low);
                high = Vector256.FusedMultiplyAdd(b, b, high);
            }
            double sum = Vector256.Sum(low + high);
            for (; i < to; i++) sum += (double)s.X[i] * s.X[i];
            s.Sums[block] = sum;
        }
    }
}
