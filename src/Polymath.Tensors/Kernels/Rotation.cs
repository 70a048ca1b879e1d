using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Rotary positions (Su et al. 2021) with the halves paired as in Llama: element i of a head turns with element i + D/2 by the angle of its token's position.
/// </summary>
public sealed unsafe class Rotation : Fused
{
    readonly Tensor cosine, sine;

    Rotation(Tensor cosine, Tensor sine) => (this.cosine, this.sine) = (cosine, sine);

    /// <inheritdoc/>
    protected internal override int InputCount => 1;

    /// <summary>Rotates x [tokens, heads, D] by cosine and sine [tokens, D/2].</summary>
    public static Tensor Of(Tensor x, Tensor cosine, Tensor sine) =>
        FastPath.Takes(x, cosine, sine) ? new Rotation(cosine, sine).Apply(x) : Plain(x, cosine, sine);

    /// <summary>The same in libtorch's operations.</summary>
    public static Tensor Plain(Tensor x, Tensor cosine, Tensor sine)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(cosine);
        ArgumentNullException.ThrowIfNull(sine);
        var half = x.shape[^1] / 2;
        Tensor c = cosine.unsqueeze(1), s = sine.unsqueeze(1), first = x.narrow(-1, 0, half), second = x.narrow(-1, half, half);
        return cat([first * c - second * s, second * c + first * s], -1);
    }

    struct State
    {
        internal float* X, Cosine, Sine, Out;
        internal int Heads, Half;
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

    Tensor Rotate(Tensor x, float sign)
    {
        var result = empty_like(x);
        var state = new State
        {
            X = (float*)LibTorch.Data(x),
            Cosine = (float*)LibTorch.Data(cosine),
            Sine = (float*)LibTorch.Data(sine),
            Out = (float*)LibTorch.Data(result),
            Heads = (int)x.shape[1],
            Half = (int)x.shape[2] / 2,
            Sign = sign,
        };
        LibTorch.For(x.shape[0], 32, &Rows, &state);
        return result;
    }

    [UnmanagedCallersOnly]
    static void Rows(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var sign = Vector256.Create(s.Sign);
        for (var token = begin; token < end; token++)
        {
            float* c = s.Cosine + token * s.Half, n = s.Sine + token * s.Half;
            for (var head = 0; head < s.Heads; head++)
            {
                var at = (token * s.Heads + head) * s.Half * 2;
                float* a = s.X + at, b = a + s.Half, y = s.Out + at, z = y + s.Half;
                var i = 0;
                for (; i <= s.Half - 8; i += 8)
                {
                    Vector256<float> va = Vector256.Load(a + i), vb = Vector256.Load(b + i), vc = Vector256.Load(c + i), vs = Vector256.Load(n + i) * sign;
                    (va * vc - vb * vs).Store(y + i);
                    (vb * vc + va * vs).Store(z + i);
                }
                for (; i < s.Half; i++)
                {
                    var sine = n[i] * s.Sign;
                    y[i] = a[i] * c[i] - b[i] * sine;
                    z[i] = b[i] * c[i] + a[i] * sine;
                }
            }
        }
    }
}
