using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Linear maps whose frozen weights stay in the 16 bits of their file (bfloat16 or float16). Every number is widened exactly where it is used, so that the
/// result is that of 32-bit weights and the memory that of 16-bit ones: a few rows read the weights once, as they are; more rows widen a slice at a time.
/// </summary>
public static unsafe class HalfProduct
{
    // A slice of four million floats: large enough for full-speed products, small beside any model that needs this.
    const long SliceElements = 4 << 20;

    // Above this many rows, widening a slice once costs less than converting it for each row.
    const int FewRows = 4;

    /// <summary>Whether weights are held in 16 bits.</summary>
    /// <param name="weight">The weights.</param>
    public static bool Holds(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.dtype is ScalarType.BFloat16 or ScalarType.Float16;
    }

    /// <summary>y = x·Wᵀ + b in 32 bits, with gradients for x and b; where W is of 32 bits, for W too.</summary>
    /// <param name="x">[n, in], 32 bits.</param>
    /// <param name="weight">W [out, in]; frozen where it is of 16 bits.</param>
    /// <param name="bias">b [out] in 32 bits, or null.</param>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
    {
        if (!Holds(weight)) return nn.functional.linear(x, weight, bias);
        ArgumentNullException.ThrowIfNull(x);
        var y = x.device_type == DeviceType.CPU && x.Dimensions == 2 ? new Map(weight).Run(x) : PlainLinear(x, weight);
        return bias is null ? y : y + bias;
    }

    /// <summary>The same in libtorch's operations, all weights widened at once.</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="weight">W [out, in].</param>
    public static Tensor PlainLinear(Tensor x, Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return nn.functional.linear(x, weight.to(ScalarType.Float32));
    }

    /// <summary>left [n, in] times Wᵀ, written into result [n, out].</summary>
    internal static void Into(Tensor result, Tensor left, Tensor weight)
    {
        if (left.shape[0] <= FewRows && Holds(weight) && weight.is_contiguous() && left.is_contiguous() && result.is_contiguous())
        {
            Few(result, left, weight);
            return;
        }
        ForSlices(weight, (from, size, wide) =>
        {
            using var part = result.narrow(1, from, size);
            using var turned = wide.t();
            LibTorch.MatrixProduct(part, left, turned);
        });
    }

    /// <summary>left [n, out] times W, written into result [n, in].</summary>
    internal static void IntoTransposed(Tensor result, Tensor left, Tensor weight)
    {
        if (!Holds(weight))
        {
            LibTorch.MatrixProduct(result, left, weight);
            return;
        }
        result.zero_();
        ForSlices(weight, (from, size, wide) =>
        {
            using var part = left.narrow(1, from, size);
            result.addmm_(part, wide, 1f, 1f);
        });
    }

    static void ForSlices(Tensor weight, Action<long, long, Tensor> use)
    {
        using var plain = weight.detach();
        if (!Holds(weight))
        {
            use(0, weight.shape[0], plain);
            return;
        }
        var rows = Math.Max(64, SliceElements / Math.Max(1, weight.shape[1]));
        for (long from = 0; from < weight.shape[0]; from += rows)
        {
            var size = Math.Min(rows, weight.shape[0] - from);
            using var slice = plain.narrow(0, from, size);
            using var wide = slice.to(ScalarType.Float32);
            use(from, size, wide);
        }
    }

    struct Rows
    {
        internal float* X, Y;
        internal ushort* Weight;
        internal int Count, Input, Output;
        internal bool Brain;
    }

    static void Few(Tensor result, Tensor left, Tensor weight)
    {
        var state = new Rows
        {
            X = (float*)LibTorch.Data(left), Y = (float*)LibTorch.Data(result), Weight = (ushort*)LibTorch.Data(weight),
            Count = (int)left.shape[0], Input = (int)left.shape[1], Output = (int)weight.shape[0], Brain = weight.dtype == ScalarType.BFloat16,
        };
        LibTorch.For(state.Output, Math.Max(1, 16384 / Math.Max(1, state.Input)), &FewRowsOf, &state);
        GC.KeepAlive(result);
        GC.KeepAlive(left);
        GC.KeepAlive(weight);
    }

    [UnmanagedCallersOnly]
    static void FewRowsOf(long begin, long end, void* context)
    {
        ref var s = ref *(Rows*)context;
        for (var output = begin; output < end; output++)
        {
            var w = s.Weight + output * s.Input;
            for (var row = 0; row < s.Count; row++)
                s.Y[(long)row * s.Output + output] = s.Brain ? DotBrain(s.X + (long)row * s.Input, w, s.Input) : DotHalf(s.X + (long)row * s.Input, w, s.Input);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static float DotBrain(float* x, ushort* w, int n)
    {
        Vector256<float> s0 = default, s1 = default;
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(w + i));
            s0 = Vector256.FusedMultiplyAdd(Vector256.Load(x + i), Vector256.ShiftLeft(low, 16).AsSingle(), s0);
            s1 = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 8), Vector256.ShiftLeft(high, 16).AsSingle(), s1);
        }
        var sum = Vector256.Sum(s0 + s1);
        for (; i < n; i++) sum += x[i] * BitConverter.UInt32BitsToSingle((uint)w[i] << 16);
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static float DotHalf(float* x, ushort* w, int n)
    {
        Vector256<float> s0 = default, s1 = default;
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            var (low, high) = Vector256.Widen(Vector256.Load(w + i));
            s0 = Vector256.FusedMultiplyAdd(Vector256.Load(x + i), FromHalf(low), s0);
            s1 = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 8), FromHalf(high), s1);
        }
        var sum = Vector256.Sum(s0 + s1);
        for (; i < n; i++) sum += x[i] * (float)BitConverter.UInt16BitsToHalf(w[i]);
        return sum;
    }

    // Exponent and mantissa move into their places, and the exponent's bias changes by 127 − 15 in one exact product, which makes subnormals right as well.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> FromHalf(Vector256<uint> bits)
    {
        var size = Vector256.ShiftLeft(bits & Vector256.Create(0x7fffu), 13).AsSingle() * Vector256.Create(BitConverter.UInt32BitsToSingle((127 + 112) << 23));
        var endless = Vector256.Equals(bits & Vector256.Create(0x7c00u), Vector256.Create(0x7c00u)) & Vector256.Create(0x7f800000u);
        return (size.AsUInt32() | endless | Vector256.ShiftLeft(bits & Vector256.Create(0x8000u), 16)).AsSingle();
    }

    sealed class Map(Tensor weight) : Fused
    {
        protected internal override int InputCount => 1;

        internal Tensor Run(Tensor x) => Apply(x);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            var result = empty(inputs[0].shape[0], weight.shape[0]);
            if (result.numel() > 0) Into(result, inputs[0], weight);
            return result;
        }

        protected internal override Tensor?[] Backward(Tensor gradient)
        {
            var result = empty(gradient.shape[0], weight.shape[1]);
            using var dense = gradient.contiguous();
            IntoTransposed(result, dense, weight);
            return [result];
        }
    }
}
