using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Products of a few rows with a matrix in NF4, which is read without decoding it to memory: a quarter of the bytes of 16 bits. A block's
/// 64 products are summed first and scaled once.
/// </summary>
internal static unsafe class Nf4Rows
{
    /// <summary>Outputs from <paramref name="begin"/> to <paramref name="end"/> of a map.</summary>
    internal static void Outputs(
        float* x,
        int count,
        int input,
        ref FewRows.Map map,
        long begin,
        long end)
    {
        var table = Nf4Lookup.Of(Nf4Matrix.Levels);
        var blocks = input / Nf4Matrix.Block;
        for (var output = begin; output < end; output++)
        {
            var first = output * blocks;
            var codes = (byte*)map.Weight + first * Nf4Matrix.BlockBytes;
            var bias = map.Bias == null ? 0 : map.Bias[output];
            var row = 0;
            for (; row + 2 <= count; row += 2)
            {
                var (one, two) = Dots(
                    x + (long)row * input,
                    x + (long)(row + 1) * input,
                    codes,
                    in map.Scales,
                    first,
                    blocks,
                    in table);
                FewRows.Put(ref map, row, output, one + bias);
                FewRows.Put(ref map, row + 1, output, two + bias);
            }
            if (row < count)
                FewRows.Put(ref map, row, output, Dot(
                    x + (long)row * input,
                    codes,
                    in map.Scales,
                    first,
                    blocks,
                    in table) + bias);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot(
        float* x,
        byte* codes,
        in BlockScales scales,
        long first,
        int blocks,
        in Nf4Lookup table)
    {
        Vector512<float> sum = default;
        for (var block = 0; block < blocks; block++, x += Nf4Matrix.Block, codes += Nf4Matrix.BlockBytes)
        {
            Expect(codes);
            var words = Nf4Lookup.Words(codes);
            sum = Vector512.FusedMultiplyAdd(
                Block(
                    x,
                    table.At(words),
                    table.At(Vector512.ShiftRightLogical(words, 4)),
                    table.At(Vector512.ShiftRightLogical(words, 8)),
                    table.At(Vector512.ShiftRightLogical(words, 12))),
                Vector512.Create(scales.Of(first + block)), sum);
        }
        return Vector512.Sum(sum);
    }

    // The order of sums is the same as for a single row, so that a row's result does not depend on the other rows.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (float, float) Dots(
        float* x,
        float* z,
        byte* codes,
        in BlockScales scales,
        long first,
        int blocks,
        in Nf4Lookup table)
    {
        Vector512<float> sum = default, other = default;
        for (var block = 0; block < blocks; block++, x += Nf4Matrix.Block, z += Nf4Matrix.Block, codes += Nf4Matrix.BlockBytes)
        {
            Expect(codes);
            var words = Nf4Lookup.Words(codes);
            Vector512<float> w0 = table.At(words),
                w1 = table.At(Vector512.ShiftRightLogical(words, 4)),
                w2 = table.At(Vector512.ShiftRightLogical(words, 8)),
                w3 = table.At(Vector512.ShiftRightLogical(words, 12));
            var scale = Vector512.Create(scales.Of(first + block));
            sum = Vector512.FusedMultiplyAdd(
                Block(
                    x,
                    w0,
                    w1,
                    w2,
                    w3),
                scale,
                sum);
            other = Vector512.FusedMultiplyAdd(
                Block(
                    z,
                    w0,
                    w1,
                    w2,
                    w3),
                scale,
                other);
        }
        return (Vector512.Sum(sum), Vector512.Sum(other));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Block(
        float* x,
        Vector512<float> w0,
        Vector512<float> w1,
        Vector512<float> w2,
        Vector512<float> w3) =>
            Vector512.FusedMultiplyAdd(Vector512.Load(x + 32), w2, Vector512.Load(x) * w0)
                + Vector512.FusedMultiplyAdd(Vector512.Load(x + 48), w3, Vector512.Load(x + 16) * w1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Expect(byte* from)
    {
        if (Sse.IsSupported) Sse.PrefetchNonTemporal(from + 512);
    }
}
