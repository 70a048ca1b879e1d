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
        internal AdamWStep.Factors Factors;
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
        if (!FastPath.Takes(weight, gradient, moments.FirstScale))
        {
            Plain(weight, gradient, moments, numbers);
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
                Factors = new AdamWStep.Factors(numbers),
            };
            LibTorch.For(BlocksOf(weight.numel()), Grain, &Run, &state);
        }
        GC.KeepAlive(gradient);
    }

    private static void Plain(Tensor weight, Tensor gradient, CodedMoments moments, AdamWNumbers numbers)
    {
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var first = Read(moments.First, moments.FirstScale, DynamicMap.Signed);
        var second = Read(moments.Second, moments.SecondScale, DynamicMap.Unsigned);
        AdamWStep.Plain(
            weight,
            gradient.to(ScalarType.Float32),
            first,
            second,
            numbers);
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
            AdamWStep.Move(
                in s.Factors,
                s.Weight + from,
                s.Gradient + from,
                first,
                second,
                count);
            float largestFirst = Largest(first, count), largestSecond = Largest(second, count);
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

    private static float Largest(float* x, int count)
    {
        Vector256<float> most = default;
        var i = 0;
        for (; i <= count - 8; i += 8) most = Vector256.Max(most, Vector256.Abs(Vector256.Load(x + i)));
        var half = Vector128.Max(most.GetLower(), most.GetUpper());
        var largest = Math.Max(Math.Max(half[0], half[1]), Math.Max(half[2], half[3]));
        for (; i < count; i++) largest = Math.Max(largest, Math.Abs(x[i]));
        return largest;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte Code(byte* starts, float* middles, float x)
    {
        int code = starts[BitConverter.SingleToUInt32Bits(x) >> 16];
        while (code < byte.MaxValue && x > middles[code]) code++;
        return (byte)code;
    }
}
