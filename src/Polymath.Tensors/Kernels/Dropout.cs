using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Dropout (Srivastava et al. 2014): each element is zero with probability p, else divided by 1 − p. A hash of an element's place and of
/// one number from libtorch's generator decides whether it is kept. So no mask is stored, threads can share the work, and the same
/// generator state gives the same elements.
/// </summary>
public sealed unsafe class Dropout : Fused
{
    private const int Grain = 16384;
    private readonly double probability;
    private readonly uint seed;

    private Dropout(double probability, uint seed) => (this.probability, this.seed) = (probability, seed);

    /// <inheritdoc/>
    protected internal override int InputCount => 1;

    /// <summary>Drops elements of x.</summary>
    /// <param name="x">Any shape.</param>
    /// <param name="probability">p, in [0, 1).</param>
    public static Tensor Of(Tensor x, double probability)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (!FastPath.Takes(x)) return nn.functional.dropout(x, probability, training: true);
        using var drawn = randint(0, uint.MaxValue, [1], dtype: ScalarType.Int64);
        return new Dropout(probability, (uint)drawn.item<long>()).Apply(x);
    }

    private struct State
    {
        internal float* X, Out;
        internal uint Seed, Threshold;
        internal float Scale;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs) => Mask(inputs[0]);

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        return [Mask(dense)];
    }

    private Tensor Mask(Tensor x)
    {
        var result = empty_like(x);
        var state = new State
        {
            X = (float*)LibTorch.Data(x),
            Out = (float*)LibTorch.Data(result),
            Seed = seed,
            Threshold = (uint)(probability * uint.MaxValue),
            Scale = (float)(1 / (1 - probability)),
        };
        LibTorch.For(x.numel(), Grain, &Run, &state);
        GC.KeepAlive(x);
        return result;
    }

    [UnmanagedCallersOnly]
    private static void Run(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var scale = Vector256.Create(s.Scale);
        var threshold = Vector256.Create(s.Threshold);
        var i = begin;
        for (; i <= end - 8; i += 8)
        {
            var place = Vector256.Create((uint)i) + Vector256.Create(0u, 1, 2, 3, 4, 5, 6, 7);
            var stays = Vector256.GreaterThanOrEqual(Hash(place, s.Seed ^ (uint)(i >> 32)), threshold).AsSingle();
            (Vector256.Load(s.X + i) * scale & stays).Store(s.Out + i);
        }
        for (; i < end; i++)
            s.Out[i] = Hash(Vector256.Create((uint)i), s.Seed ^ (uint)(i >> 32)).GetElement(0) >= s.Threshold ? s.X[i] * s.Scale : 0;
    }

    // A 32-bit hash function of low bias (Wellons 2018) of the place, which is first multiplied by the golden ratio.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Hash(Vector256<uint> place, uint seed)
    {
        var x = place * Vector256.Create(0x9E3779B1u) + Vector256.Create(seed);
        x = (x ^ Vector256.ShiftRightLogical(x, 16)) * Vector256.Create(0x7FEB352Du);
        x = (x ^ Vector256.ShiftRightLogical(x, 15)) * Vector256.Create(0x846CA68Bu);
        return x ^ Vector256.ShiftRightLogical(x, 16);
    }
}
