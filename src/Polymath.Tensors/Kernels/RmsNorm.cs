using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Root-mean-square normalisation (Zhang &amp; Sennrich 2019): y = w·x / √(mean(x²) + ε).</summary>
public sealed unsafe class RmsNorm : Fused
{
    // Gradients of the weight are summed over fixed blocks of rows, then over the blocks in order, so the result has the same bits for any
    // number of threads.
    private const int Block = 64;
    private readonly float epsilon;
    private Tensor? x, weight, inverse;
    private bool wantsWeight;

    private RmsNorm(double epsilon) => this.epsilon = (float)epsilon;

    /// <inheritdoc/>
    protected internal override int InputCount => 2;

    /// <summary>Normalises the last dimension of x [rows, width] and scales it by weight [width].</summary>
    public static Tensor Of(Tensor x, Tensor weight, double epsilon)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(weight);
        return FastPath.Takes(x, weight) ? new RmsNorm(epsilon).Apply(x, weight) : Plain(x, weight, epsilon);
    }

    /// <summary>The same in libtorch's operations, for any device and type; statistics in 32-bit floats, as in transformers.</summary>
    public static Tensor Plain(Tensor x, Tensor weight, double epsilon)
    {
        ArgumentNullException.ThrowIfNull(x);
        var wide = x.to(ScalarType.Float32);
        return weight * (wide * (wide.square().mean([-1], keepdim: true) + epsilon).rsqrt()).to(x.dtype);
    }

    private struct State
    {
        internal float* X, Weight, Inverse, Out, Gradient, GradX, GradWeight;
        internal int Rows, Width;
        internal float Epsilon;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        (x, weight, wantsWeight) = (SaveForBackward(inputs[0]), SaveForBackward(inputs[1]), inputs[1].requires_grad);
        var result = empty_like(x);
        inverse = SaveForBackward(empty(x.size(0), dtype: ScalarType.Float32));
        var state = Shape();
        state.Out = (float*)LibTorch.Data(result);
        LibTorch.For(state.Rows, 32, &ForwardRows, &state);
        return result;
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        var state = Shape();
        var gradX = empty_like(x!);
        var blocks = (state.Rows + Block - 1) / Block;
        using var partial = wantsWeight ? zeros(blocks, state.Width) : null;
        state.Gradient = (float*)LibTorch.Data(dense);
        state.GradX = (float*)LibTorch.Data(gradX);
        state.GradWeight = partial is null ? null : (float*)LibTorch.Data(partial);
        LibTorch.For(blocks, 1, &BackwardBlocks, &state);
        return [gradX, partial?.sum(dim: 0)];
    }

    private State Shape() => new()
    {
        X = (float*)LibTorch.Data(x!),
        Weight = (float*)LibTorch.Data(weight!),
        Inverse = (float*)LibTorch.Data(inverse!),
        Rows = (int)x!.size(0),
        Width = (int)x.size(1),
        Epsilon = epsilon,
    };

    [UnmanagedCallersOnly]
    private static void ForwardRows(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var row = begin; row < end; row++)
        {
            float* x = s.X + row * s.Width, y = s.Out + row * s.Width;
            s.Inverse[row] = Row(
                x,
                s.Weight,
                y,
                s.Width,
                s.Epsilon);
        }
    }

    /// <summary>One row; returns the inverse root of its mean square.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Row(
        float* x,
        float* weight,
        float* y,
        int width,
        float epsilon)
    {
        var inverse = 1f / MathF.Sqrt(Vectors.Dot(x, x, width) / width + epsilon);
        var factor = Vector256.Create(inverse);
        var i = 0;
        for (; i <= width - 8; i += 8) (Vector256.Load(x + i) * factor * Vector256.Load(weight + i)).Store(y + i);
        for (; i < width; i++) y[i] = x[i] * inverse * weight[i];
        return inverse;
    }

    // With n = x·r, r the inverse root: dx = r·(w·g − n·mean(w·g·n)); dw = Σ g·n.
    [UnmanagedCallersOnly]
    private static void BackwardBlocks(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var block = begin; block < end; block++)
            for (var row = block * Block; row < Math.Min((block + 1) * Block, s.Rows); row++)
            {
                float* x = s.X + row * s.Width, g = s.Gradient + row * s.Width, dx = s.GradX + row * s.Width;
                var inverse = s.Inverse[row];
                Vector256<float> sums = default;
                var i = 0;
                for (; i <= s.Width - 8; i += 8)
                    sums = Vector256.FusedMultiplyAdd(Vector256.Load(s.Weight + i) * Vector256.Load(g + i), Vector256.Load(x + i), sums);
                var sum = Vector256.Sum(sums);
                for (; i < s.Width; i++) sum += s.Weight[i] * g[i] * x[i];
                var pull = -sum * inverse * inverse * inverse / s.Width;
                Vector256<float> p = Vector256.Create(pull), r = Vector256.Create(inverse);
                for (i = 0; i <= s.Width - 8; i += 8)
                    Vector256.FusedMultiplyAdd(p, Vector256.Load(x + i), Vector256.Load(s.Weight + i) * Vector256.Load(g + i) * r)
                        .Store(dx + i);
                for (; i < s.Width; i++) dx[i] = pull * x[i] + s.Weight[i] * g[i] * inverse;
                if (s.GradWeight == null) continue;
                var dw = s.GradWeight + block * s.Width;
                for (i = 0; i <= s.Width - 8; i += 8)
                    Vector256.FusedMultiplyAdd(Vector256.Load(g + i) * r, Vector256.Load(x + i), Vector256.Load(dw + i)).Store(dw + i);
                for (; i < s.Width; i++) dw[i] += g[i] * x[i] * inverse;
            }
    }
}
