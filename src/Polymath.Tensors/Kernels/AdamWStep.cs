using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>The numbers of one AdamW step (Loshchilov &amp; Hutter 2019, algorithm 2).</summary>
/// <param name="Rate">The learning rate of this step.</param>
/// <param name="Beta1">The decay of the first moment.</param>
/// <param name="Beta2">The decay of the second moment.</param>
/// <param name="Epsilon">Added to the root of the second moment.</param>
/// <param name="WeightDecay">Decoupled weight decay.</param>
/// <param name="Step">The step, from 1.</param>
/// <param name="GradientScale">The factor that gradients are multiplied with first: 1/targets, and smaller when they are clipped.</param>
public readonly record struct AdamWNumbers(
    double Rate,
    double Beta1,
    double Beta2,
    double Epsilon,
    double WeightDecay,
    long Step,
    double GradientScale);

/// <summary>
/// One pass over memory for scaling, decay, both moments and the step; libtorch's own operations would read and write each tensor several
/// times.
/// </summary>
public static unsafe class AdamWStep
{
    private const int Grain = 16384;

    private struct State
    {
        internal float* Weight, Gradient, First, Second;
        internal Factors Factors;
    }

    /// <summary>The numbers of a step as the kernels use them.</summary>
    internal readonly struct Factors(AdamWNumbers numbers)
    {
        internal readonly float Scale = (float)numbers.GradientScale,
            Beta1 = (float)numbers.Beta1,
            Beta2 = (float)numbers.Beta2,
            Keep = (float)(1 - numbers.Rate * numbers.WeightDecay),
            StepSize = (float)(numbers.Rate / (1 - Math.Pow(numbers.Beta1, numbers.Step))),
            RootCorrection = (float)(1 / Math.Sqrt(1 - Math.Pow(numbers.Beta2, numbers.Step))),
            Epsilon = (float)numbers.Epsilon;
    }

    /// <summary>Updates weight by gradient; all four have the same shape. weight, first and second are changed in place.</summary>
    public static void Apply(
        Tensor weight,
        Tensor gradient,
        Tensor first,
        Tensor second,
        AdamWNumbers numbers)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (!FastPath.Takes(weight, gradient, first))
        {
            Plain(
                weight,
                gradient,
                first,
                second,
                numbers);
            return;
        }
        var state = new State
        {
            Weight = (float*)LibTorch.Data(weight),
            Gradient = (float*)LibTorch.Data(gradient),
            First = (float*)LibTorch.Data(first),
            Second = (float*)LibTorch.Data(second),
            Factors = new Factors(numbers),
        };
        LibTorch.For(weight.numel(), Grain, &Run, &state);
        GC.KeepAlive(gradient);
    }

    /// <summary>The step in libtorch's own operations.</summary>
    internal static void Plain(
        Tensor weight,
        Tensor gradient,
        Tensor first,
        Tensor second,
        AdamWNumbers n)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        double correction1 = 1 - Math.Pow(n.Beta1, n.Step), correction2 = 1 - Math.Pow(n.Beta2, n.Step);
        var g = gradient * n.GradientScale;
        weight.mul_(1 - n.Rate * n.WeightDecay);
        first.mul_(n.Beta1).add_(g, 1 - n.Beta1);
        second.mul_(n.Beta2).addcmul_(g, g, 1 - n.Beta2);
        weight.addcdiv_(first, second.sqrt().div_(Math.Sqrt(correction2)).add_(n.Epsilon), -n.Rate / correction1);
    }

    [UnmanagedCallersOnly]
    private static void Run(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        Move(
            in s.Factors,
            s.Weight + begin,
            s.Gradient + begin,
            s.First + begin,
            s.Second + begin,
            end - begin);
    }

    /// <summary>Moves so many elements of a weight, and their moments.</summary>
    internal static void Move(
        in Factors s,
        float* weight,
        float* gradient,
        float* first,
        float* second,
        long count)
    {
        Vector256<float> scale = Vector256.Create(s.Scale),
            beta1 = Vector256.Create(s.Beta1),
            beta2 = Vector256.Create(s.Beta2),
            rest1 = Vector256.Create(1 - s.Beta1),
            rest2 = Vector256.Create(1 - s.Beta2),
            keep = Vector256.Create(s.Keep),
            size = Vector256.Create(s.StepSize),
            root = Vector256.Create(s.RootCorrection),
            epsilon = Vector256.Create(s.Epsilon);
        var i = 0L;
        for (; i <= count - 8; i += 8)
        {
            var g = Vector256.Load(gradient + i) * scale;
            var m = Vector256.Load(first + i) * beta1 + g * rest1;
            var v = Vector256.Load(second + i) * beta2 + g * g * rest2;
            m.Store(first + i);
            v.Store(second + i);
            (Vector256.Load(weight + i) * keep - size * m / (Vector256.Sqrt(v) * root + epsilon)).Store(weight + i);
        }
        for (; i < count; i++)
        {
            var g = gradient[i] * s.Scale;
            var m = first[i] = first[i] * s.Beta1 + g * (1 - s.Beta1);
            var v = second[i] = second[i] * s.Beta2 + g * g * (1 - s.Beta2);
            weight[i] = weight[i] * s.Keep - s.StepSize * m / (MathF.Sqrt(v) * s.RootCorrection + s.Epsilon);
        }
    }
}
