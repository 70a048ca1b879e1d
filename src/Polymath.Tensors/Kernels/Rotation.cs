using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Rotary positions (Su et al. 2021): pairs of a head's first R elements are rotated by the angle of their token's position; the other
/// elements do not change. Element i is paired with element i + R/2 as in Llama, or, interleaved, 2i with 2i + 1 as in GLM.
/// </summary>
public sealed unsafe class Rotation : Fused
{
    private readonly Tensor cosine, sine;
    private readonly bool interleaved;

    private Rotation(Tensor cosine, Tensor sine, bool interleaved) =>
        (this.cosine, this.sine, this.interleaved) = (cosine, sine, interleaved);

    /// <inheritdoc/>
    protected internal override int InputCount => 1;

    /// <summary>Rotates the first R elements of each head of x [tokens, heads, D] by cosine and sine [tokens, R/2].</summary>
    /// <param name="x">The heads.</param>
    /// <param name="cosine">The cosines.</param>
    /// <param name="sine">The sines.</param>
    /// <param name="interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
    public static Tensor Of(Tensor x, Tensor cosine, Tensor sine, bool interleaved = false) =>
        FastPath.Takes(x, cosine, sine) ? new Rotation(cosine, sine, interleaved).Apply(x) : Plain(x, cosine, sine, interleaved);

    /// <summary>The same in libtorch's operations.</summary>
    /// <param name="x">The heads.</param>
    /// <param name="cosine">The cosines.</param>
    /// <param name="sine">The sines.</param>
    /// <param name="interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
    public static Tensor Plain(Tensor x, Tensor cosine, Tensor sine, bool interleaved = false)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(cosine);
        ArgumentNullException.ThrowIfNull(sine);
        var half = cosine.size(1);
        Tensor c = cosine.unsqueeze(1),
            s = sine.unsqueeze(1),
            turned = x.narrow(-1, 0, 2 * half),
            rest = x.narrow(-1, 2 * half, x.size(-1) - 2 * half);
        if (!interleaved)
        {
            Tensor first = turned.narrow(-1, 0, half), second = turned.narrow(-1, half, half);
            return cat([first * c - second * s, second * c + first * s, rest], -1);
        }
        var pairs = turned.reshape(x.size(0), x.size(1), half, 2);
        Tensor even = pairs.select(-1, 0), odd = pairs.select(-1, 1);
        return cat([stack([even * c - odd * s, odd * c + even * s], -1).flatten(-2), rest], -1);
    }

    private struct State
    {
        internal float* X, Cosine, Sine, Out;
        internal int Heads, Half, Width;
        internal float Sign;
    }

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs) => Rotate(inputs[0], 1);

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        using var dense = gradient.contiguous();
        return [Rotate(dense, -1)];
    }

    private Tensor Rotate(Tensor x, float sign)
    {
        var result = empty_like(x);
        var state = new State
        {
            X = (float*)LibTorch.Data(x),
            Cosine = (float*)LibTorch.Data(cosine),
            Sine = (float*)LibTorch.Data(sine),
            Out = (float*)LibTorch.Data(result),
            Heads = (int)x.size(1),
            Half = (int)cosine.size(1),
            Width = (int)x.size(2),
            Sign = sign,
        };
        LibTorch.For(x.size(0), 32, interleaved ? &Neighbours : &Rows, &state);
        return result;
    }

    [UnmanagedCallersOnly]
    private static void Rows(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var token = begin; token < end; token++)
            for (var head = 0; head < s.Heads; head++)
            {
                var at = (token * s.Heads + head) * s.Width;
                Halves(
                    s.X + at,
                    s.Out + at,
                    s.Cosine + token * s.Half,
                    s.Sine + token * s.Half,
                    s.Half,
                    s.Sign);
                new ReadOnlySpan<float>(s.X + at + 2 * s.Half, s.Width - 2 * s.Half)
                    .CopyTo(new Span<float>(s.Out + at + 2 * s.Half, s.Width - 2 * s.Half));
            }
    }

    [UnmanagedCallersOnly]
    private static void Neighbours(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var token = begin; token < end; token++)
            for (var head = 0; head < s.Heads; head++)
            {
                var at = (token * s.Heads + head) * s.Width;
                Neighbours(
                    s.X + at,
                    s.Out + at,
                    s.Cosine + token * s.Half,
                    s.Sine + token * s.Half,
                    s.Half,
                    s.Sign);
                new ReadOnlySpan<float>(s.X + at + 2 * s.Half, s.Width - 2 * s.Half)
                    .CopyTo(new Span<float>(s.Out + at + 2 * s.Half, s.Width - 2 * s.Half));
            }
    }

    /// <summary>Rotates one head's first elements, with the halves paired; y may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Halves(
        float* x,
        float* y,
        float* cosine,
        float* sine,
        int half,
        float sign)
    {
        var signs = Vector256.Create(sign);
        float* b = x + half, z = y + half;
        var i = 0;
        for (; i <= half - 8; i += 8)
        {
            Vector256<float> va = Vector256.Load(x + i),
                vb = Vector256.Load(b + i),
                vc = Vector256.Load(cosine + i),
                vs = Vector256.Load(sine + i) * signs;
            (va * vc - vb * vs).Store(y + i);
            (vb * vc + va * vs).Store(z + i);
        }
        for (; i < half; i++)
        {
            float first = x[i], second = b[i], turn = sine[i] * sign;
            y[i] = first * cosine[i] - second * turn;
            z[i] = second * cosine[i] + first * turn;
        }
    }

    /// <summary>Rotates one head's first elements, with neighbours paired; y may be x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Neighbours(
        float* x,
        float* y,
        float* cosine,
        float* sine,
        int half,
        float sign)
    {
        for (var i = 0; i < half; i++)
        {
            float a = x[2 * i], b = x[2 * i + 1], turn = sine[i] * sign;
            y[2 * i] = a * cosine[i] - b * turn;
            y[2 * i + 1] = b * cosine[i] + a * turn;
        }
    }
}
