using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// Stacks of experts in MXFP4 (OCP Microscaling Formats 1.0), as gpt-oss is published: <c>NAME_blocks</c> [experts, rows, groups, 16]
/// holds two floats of four bits (E2M1) a byte, the lower four bits first; <c>NAME_scales</c> [experts, rows, groups] holds a power of
/// two (E8M0: 2^(byte − 127)) for each 32 values. The weight is the transpose, [experts, 32·groups, rows]: the same numbers as those of
/// transformers' <c>convert_moe_packed_tensors</c>.
/// </summary>
internal static class Mxfp4Codes
{
    private const string Blocks = "_blocks", Scales = "_scales";

    // The values of the codes 0 to 15.
    private static readonly float[] values = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    /// <summary>Whether files hold such stacks.</summary>
    /// <param name="stored">The files' tensors.</param>
    internal static bool Are(StoredTensors stored) =>
        stored.Before(Blocks).Any(name => stored.Has(name + Scales) && stored.Kind(name + Blocks) == "U8");

    /// <summary>The weights.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="type">The type of the result. Every value is exact in bfloat16 and wider types.</param>
    /// <exception cref="InputException">A stack has no scales, or another shape than its layout.</exception>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, ScalarType type)
    {
        // Float16 has no such small powers of two.
        var exact = type == ScalarType.Float16 ? ScalarType.Float32 : type;
        foreach (var name in stored.Before(Blocks).ToList())
        {
            stored.Expect(
                name + Blocks,
                "U8",
                -1,
                -1,
                -1,
                16);
            var shape = stored.Shape(name + Blocks);
            stored.Expect(
                name + Scales,
                "U8",
                shape[0],
                shape[1],
                shape[2]);
            Tensor Make()
            {
                Tensor codes = stored.Map(name + Blocks), scales = stored.Map(name + Scales);
                var whole = empty([shape[0], 32 * shape[2], shape[1]], dtype: exact);
                for (long expert = 0; expert < shape[0]; expert++)
                {
                    using var scope = NewDisposeScope();
                    whole.select(0, expert).copy_(Matrix(codes.select(0, expert), scales.select(0, expert)).t());
                }
                return whole;
            }
            yield return new DecodedWeight(
                name,
                [shape[0], 32 * shape[2], shape[1]],
                [name + Blocks, name + Scales],
                CodeSteps.Scoped(Make));
        }
    }

    // [rows, 32·groups] of codes [rows, groups, 16] and scales [rows, groups].
    private static Tensor Matrix(Tensor codes, Tensor scales)
    {
        using var table = tensor(values);
        var bytes = codes.to(ScalarType.Int64);
        var low = bytes.remainder(16);
        var pairs = stack([low, (bytes - low) / 16], -1).to(ScalarType.Int64);                      // [rows, groups, 16, 2]
        var numbers = table.index_select(0, pairs.flatten()).view(codes.size(0), codes.size(1), 32);
        var factors = (scales.to(ScalarType.Float64) - 127).exp2().to(ScalarType.Float32);
        return (numbers * factors.unsqueeze(-1)).view(codes.size(0), -1);
    }
}
