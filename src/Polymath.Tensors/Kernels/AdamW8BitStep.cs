using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Both moments of a weight in 8 bits.</summary>
/// <param name="First">The codes of the first moment in <see cref="DynamicMap.Signed"/>, of the weight's shape.</param>
/// <param name="Second">The codes of the second moment in <see cref="DynamicMap.Unsigned"/>, of the weight's shape.</param>
/// <param name="FirstScale">What the first moment's numbers are multiplied with [blocks].</param>
/// <param name="SecondScale">What the second moment's numbers are multiplied with [blocks].</param>
public sealed record CodedMoments(Tensor First, Tensor Second, Tensor FirstScale, Tensor SecondScale);

/// <summary>
/// An AdamW step on moments in 8 bits (Dettmers et al. 2022, section 2): each block's moments are read, moved, used, and rounded again to
/// the nearest number of a <see cref="DynamicMap"/> times the block's largest one. One pass over memory; bitsandbytes' CPU backend in its
/// order: decay, step, rounding. Its CUDA kernel decays after the step and lets no negative first moment become zero.
/// </summary>
public static unsafe class AdamW8BitStep
{
    /// <summary>The elements of a block, as in bitsandbytes 0.44 and later; 2048 in the paper, which is less exact.</summary>
    public const int Block = 256;

    private const int Grain = 64;

    private struct State
    {
        internal float* Weight, Gradient, FirstScale, SecondScale, FirstMap, SecondMap, FirstMiddles, SecondMiddles;
        internal byte* First, Second, FirstStarts, SecondStarts;
        internal long Count;
        internal float Scale, Beta1, Beta2, Keep, StepSize, RootCorrection, Epsilon;
    }

    /// <summary>The blocks of so many elements; the last may be smaller.</summary>
    /// <param name="count">The number of elements.</param>
    public static long BlocksOf(long count) => (count + Block - 1) / Block;

    /// <summary>Moves weight by gradient, both of one shape. weight and moments are changed in place.</summary>
    /// <param name="weight">The weight.</param>
    /// <param name="gradient">Its gradient.</param>
    /// <param name="moments">Its moments.</param>
    /// <param name="numbers">The numbers of the step.</param>
    public static void Apply(Tensor weight, Tensor gradient, CodedMoments moments, AdamWNumbers numbers)
    {
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(moments);
        double correction1 = 1 - Math.Pow(numbers.Beta1, numbers.Step), correction2 = 1 - Math.Pow(numbers.Beta2, numbers.Step);
        if (!FastPath.Takes(weight, gradient, moments.FirstScale))
        {
            Plain(
                weight,
                gradient,
                moments,
                numbers,
                correction1,
                correction2);
            return;
        }
        fixed (float* firstMap = DynamicMap.Signed.Values, secondMap = DynamicMap.Unsigned.Values)
        fixed (float* firstMiddles = DynamicMap.Signed.Middles, secondMiddles = DynamicMap.Unsigned.Middles)
        fixed (byte* firstStarts = DynamicMap.Signed.Starts, secondStarts = DynamicMap.Unsigned.Starts)
        {
            var state = new State
            {
                Weight = (float*)LibTorch.Data(weight),
                Gradient = (float*)LibTorch.Data(gradient),
                First = (byte*)LibTorch.Data(moments.First),
                Second = (byte*)LibTorch.Data(moments.Second),
                FirstScale = (float*)LibTorch.Data(moments.FirstScale),
                SecondScale = (float*)LibTorch.Data(moments.SecondScale),
                FirstMap = firstMap,
                SecondMap = secondMap,
                FirstMiddles = firstMiddles,
                SecondMiddles = secondMiddles,
                FirstStarts = firstStarts,
                SecondStarts = secondStarts,
                Count = weight.numel(),
                Scale = (float)numbers.GradientScale,
                Beta1 = (float)numbers.Beta1,
                Beta2 = (float)numbers.Beta2,
                Keep = (float)(1 - numbers.Rate * numbers.WeightDecay),
                StepSize = (float)(numbers.Rate / correction1),
                RootCorrection = (float)(1 / Math.Sqrt(correction2)),
                Epsilon = (float)numbers.Epsilon,
            };
            LibTorch.For(BlocksOf(weight.numel()), Grain, &Run, &state);
        }
        GC.KeepAlive(gradient);
    }

    private static void Plain(
        Tensor weight,
        Tensor gradient,
        CodedMoments moments,
        AdamWNumbers n,
        double correction1,
        double correction2)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var g = gradient.to(ScalarType.Float32) * n.GradientScale;
        var first = Read(moments.First, moments.FirstScale, DynamicMap.Signed).mul_(n.Beta1).add_(g, 1 - n.Beta1);
        var second = Read(moments.Second, moments.SecondScale, DynamicMap.Unsigned).mul_(n.Beta2).addcmul_(g, g, 1 - n.Beta2);
        weight.mul_(1 - n.Rate * n.WeightDecay);
        weight.addcdiv_(first, second.sqrt().div_(Math.Sqrt(correction2)).add_(n.Epsilon), -n.Rate / correction1);
        Write(first, moments.First, moments.FirstScale, DynamicMap.Signed);
        Write(second, moments.Second, moments.SecondScale, DynamicMap.Unsigned);
    }

    private static Tensor Read(Tensor codes, Tensor scales, DynamicMap map)
    {
        var numbers = tensor(map.Values.ToArray(), device: codes.device).index_select(0, codes.flatten().to(ScalarType.Int64));
        return (numbers * scales.repeat_interleave(Block)[..(int)codes.numel()]).reshape(codes.shape);
    }

    private static void Write(Tensor numbers, Tensor codes, Tensor scales, DynamicMap map)
    {
        var blocks = scales.numel();
        var filled = nn.functional.pad(numbers.flatten(), (0, blocks * Block - numbers.numel())).reshape(blocks, Block);
        scales.copy_(filled.abs().amax([1]));
        // A block of zeros is divided by one.
        var divisor = scales.where(scales > 0, ones_like(scales)).unsqueeze(1);
        var middles = tensor(map.Middles.ToArray(), device: codes.device);
        codes.copy_(bucketize(filled * divisor.reciprocal(), middles).flatten()[..(int)numbers.numel()].reshape(codes.shape));
    }

    [UnmanagedCallersOnly]
    private static void Run(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        float* first = stackalloc float[Block], second = stackalloc float[Block];
        for (var block = begin; block < end; block++)
        {
            var from = block * Block;
            var count = (int)Math.Min(Block, s.Count - from);
            float firstScale = s.FirstScale[block], secondScale = s.SecondScale[block];
            for (var i = 0; i < count; i++)
            {
                first[i] = s.FirstMap[s.First[from + i]] * firstScale;
                second[i] = s.SecondMap[s.Second[from + i]] * secondScale;
            }
            var (largestFirst, largestSecond) = Move(
                ref s,
                from,
                count,
                first,
                second);
            s.FirstScale[block] = largestFirst;
            s.SecondScale[block] = largestSecond;
            float firstInverse = largestFirst > 0 ? 1 / largestFirst : 1, secondInverse = largestSecond > 0 ? 1 / largestSecond : 1;
            for (var i = 0; i < count; i++)
            {
                s.First[from + i] = Code(s.FirstStarts, s.FirstMiddles, first[i] * firstInverse);
                s.Second[from + i] = Code(s.SecondStarts, s.SecondMiddles, second[i] * secondInverse);
            }
        }
    }

    // Moves a block of the weight and its moments, and tells the largest size of each of these.
    private static (float First, float Second) Move(
        ref State s,
        long from,
        int count,
        float* first,
        float* second)
    {
        float* weight = s.Weight + from, gradient = s.Gradient + from;
        Vector256<float> scale = Vector256.Create(s.Scale),
            beta1 = Vector256.Create(s.Beta1),
            beta2 = Vector256.Create(s.Beta2),
            rest1 = Vector256.Create(1 - s.Beta1),
            rest2 = Vector256.Create(1 - s.Beta2),
            keep = Vector256.Create(s.Keep),
            size = Vector256.Create(s.StepSize),
            root = Vector256.Create(s.RootCorrection),
            epsilon = Vector256.Create(s.Epsilon),
            most1 = default,
            most2 = default;
        var i = 0;
        for (; i <= count - 8; i += 8)
        {
            var g = Vector256.Load(gradient + i) * scale;
            var m = Vector256.Load(first + i) * beta1 + g * rest1;
            var v = Vector256.Load(second + i) * beta2 + g * g * rest2;
            m.Store(first + i);
            v.Store(second + i);
            most1 = Vector256.Max(most1, Vector256.Abs(m));
            most2 = Vector256.Max(most2, v);
            (Vector256.Load(weight + i) * keep - size * m / (Vector256.Sqrt(v) * root + epsilon)).Store(weight + i);
        }
        float largest1 = Largest(most1), largest2 = Largest(most2);
        for (; i < count; i++)
        {
            var g = gradient[i] * s.Scale;
            var m = first[i] = first[i] * s.Beta1 + g * (1 - s.Beta1);
            var v = second[i] = second[i] * s.Beta2 + g * g * (1 - s.Beta2);
            (largest1, largest2) = (Math.Max(largest1, Math.Abs(m)), Math.Max(largest2, v));
            weight[i] = weight[i] * s.Keep - s.StepSize * m / (MathF.Sqrt(v) * s.RootCorrection + s.Epsilon);
        }
        return (largest1, largest2);
    }

    private static float Largest(Vector256<float> x)
    {
        var half = Vector128.Max(x.GetLower(), x.GetUpper());
        return Math.Max(Math.Max(half[0], half[1]), Math.Max(half[2], half[3]));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Code(byte* starts, float* middles, float x)
    {
        int code = starts[BitConverter.SingleToUInt32Bits(x) >> 16];
        while (code < byte.MaxValue && x > middles[code]) code++;
        return (byte)code;
    }
}
