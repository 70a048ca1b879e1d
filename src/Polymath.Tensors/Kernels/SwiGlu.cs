using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>The gated activation silu(gate)·up (Shazeer 2020), silu(x) = x·σ(x).</summary>
public sealed unsafe class SwiGlu : Fused
{
    private const int Grain = 8192, Piece = 4096;
    private Tensor? gate, up;

    private SwiGlu()
    {
    }

    /// <inheritdoc/>
    protected internal override int InputCount => 2;

    /// <summary>silu(gate)·up, element by element; both have the same shape.</summary>
    public static Tensor Of(Tensor gate, Tensor up) => FastPath.Takes(gate, up) ? new SwiGlu().Apply(gate, up) : Plain(gate, up);

    /// <summary>The same in libtorch's operations.</summary>
    public static Tensor Plain(Tensor gate, Tensor up)
    {
        ArgumentNullException.ThrowIfNull(gate);
        return nn.functional.silu(gate) * up;
    }

    private struct State
    {
        internal float* Gate, Up, Out, Gradient, GradGate, GradUp;
        internal long Count;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        (gate, up) = (SaveForBackward(inputs[0]), SaveForBackward(inputs[1]));
        var result = empty_like(gate);
        var state = new State { Gate = (float*)LibTorch.Data(gate), Up = (float*)LibTorch.Data(up), Out = (float*)LibTorch.Data(result) };
        LibTorch.For(gate.numel(), Grain, &ForwardRun, &state);
        return result;
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        Tensor gradGate = empty_like(gate!), gradUp = empty_like(up!);
        var state = new State
        {
            Gate = (float*)LibTorch.Data(gate!),
            Up = (float*)LibTorch.Data(up!),
            Gradient = (float*)LibTorch.Data(dense),
            GradGate = (float*)LibTorch.Data(gradGate),
            GradUp = (float*)LibTorch.Data(gradUp),
        };
        LibTorch.For(gate!.numel(), Grain, &BackwardRun, &state);
        return [gradGate, gradUp];
    }

    [UnmanagedCallersOnly]
    private static void ForwardRun(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        Gated(s.Gate + begin, s.Up + begin, s.Out + begin, end - begin);
    }

    /// <summary>n elements, written over the gate, shared among the team's threads.</summary>
    internal static void Share(float* gate, float* up, long n)
    {
        var state = new State { Gate = gate, Up = up, Count = n };
        // Pieces are whole vectors, so that no element depends on the threads.
        Team.For(
            (n + Piece - 1) / Piece,
            1,
            &ShareRun,
            &state,
            least: 2);
    }

    private static void ShareRun(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        begin *= Piece;
        Gated(s.Gate + begin, s.Up + begin, s.Gate + begin, Math.Min(end * Piece, s.Count) - begin);
    }

    /// <summary>n elements; the result may be either operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Gated(float* gate, float* up, float* result, long n)
    {
        long i = 0;
        for (; i <= n - 8; i += 8)
        {
            var x = Vector256.Load(gate + i);
            (x / (Vector256<float>.One + Vectors.Exp(-x)) * Vector256.Load(up + i)).Store(result + i);
        }
        for (; i < n; i++) result[i] = gate[i] / (1 + MathF.Exp(-gate[i])) * up[i];
    }

    // d silu(x)/dx = σ·(1 + x·(1 − σ)).
    [UnmanagedCallersOnly]
    private static void BackwardRun(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var one = Vector256<float>.One;
        var i = begin;
        for (; i <= end - 8; i += 8)
        {
            Vector256<float> x = Vector256.Load(s.Gate + i), g = Vector256.Load(s.Gradient + i);
            var sigma = one / (one + Vectors.Exp(-x));
            (g * Vector256.Load(s.Up + i) * sigma * Vector256.FusedMultiplyAdd(x, one - sigma, one)).Store(s.GradGate + i);
            (g * x * sigma).Store(s.GradUp + i);
        }
        for (; i < end; i++)
        {
            float x = s.Gate[i], sigma = 1 / (1 + MathF.Exp(-x));
            s.GradGate[i] = s.Gradient[i] * s.Up[i] * sigma * (1 + x * (1 - sigma));
            s.GradUp[i] = s.Gradient[i] * x * sigma;
        }
    }
}
