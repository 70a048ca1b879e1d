using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// Floats of eight bits with scales: one for the whole weight, one per row, or one per block (DeepSeek-V3's <c>weight_scale_inv</c>,
/// [out/128, in/128]). Despite this name, all scales are multiplied; transformers' <c>Fp8Dequantize</c> does the same. Also eight-bit
/// integers with scales, as compressed-tensors writes them.
/// </summary>
internal static class Float8Codes
{
    /// <summary>Tensors that belong to activations and caches, not to the weights.</summary>
    internal const string Needless =
        @".*\.(input_scale|input_scale_ub|input_zero_point|output_scale|activation_scale|k_scale|v_scale|q_scale|prob_scale|kv_scale)";

    private static readonly string[] endings = ["_scale_inv", "_scale"];

    /// <summary>Whether a tensor is eight-bit floats that have a scale, so that its numbers alone are not the weight.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="name">The tensor.</param>
    internal static bool IsScaled(StoredTensors stored, string name) =>
        stored.Has(name) && IsFloat8(stored, name) && Array.Exists(endings, ending => stored.Has(name + ending));

    /// <summary>Whether a tensor is the scale of eight-bit floats: without it, they are not the weight.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="name">The tensor.</param>
    internal static bool IsScale(StoredTensors stored, string name) => Array.Exists(endings, ending =>
        name.EndsWith(ending, StringComparison.Ordinal) && stored.Has(name[..^ending.Length]) && IsFloat8(stored, name[..^ending.Length]));

    private static bool IsFloat8(StoredTensors stored, string name) => stored.Kind(name).StartsWith("F8_E", StringComparison.Ordinal);

    /// <summary>The weights.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="blocks">How many rows and columns share a scale, when scales are per block; see <see cref="Blocks"/>.</param>
    /// <param name="type">The type of the result; null for the type of their scales.</param>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, (long Rows, long Columns) blocks, ScalarType? type)
    {
        foreach (var name in stored.Names.ToList())
        {
            if (!IsCode(stored, name) || Array.Find(endings, ending => stored.Has(name + ending)) is not { } ending) continue;
            yield return One(
                stored,
                name,
                name + ending,
                blocks,
                type);
        }
    }

    /// <summary>Weights of eight-bit floats without a scale, although the method gives each a scale.</summary>
    /// <param name="stored">The files' tensors.</param>
    internal static IEnumerable<string> Bare(StoredTensors stored) =>
        stored.Names.Where(name => IsFloat8(stored, name) && !IsScale(stored, name) && !IsScaled(stored, name)
            && !Regex.IsMatch(name, $"^(?:{Needless})$"));

    private static bool IsCode(StoredTensors stored, string name) =>
        name.EndsWith(".weight", StringComparison.Ordinal) && (stored.Kind(name) is "I8" || IsFloat8(stored, name));

    private static DecodedWeight One(
        StoredTensors stored,
        string name,
        string scale,
        (long Rows, long Columns) blocks,
        ScalarType? type)
    {
        stored.Expect(name, stored.Kind(name), -1, -1);
        var shape = stored.Shape(name);
        var zero = name + "_zero_point";
        Grid(stored, name, scale, blocks);
        Tensor Make()
        {
            var factor = Scale(stored, scale);
            var codes = stored.Map(name).to(ScalarType.Float32);
            if (stored.Has(zero))
                codes -= Spread(
                    stored,
                    zero,
                    stored.Map(zero).to(ScalarType.Float32),
                    shape,
                    blocks);
            var widest = stored.Kind(scale) is "F16" or "BF16" ? factor.dtype : ScalarType.Float32;
            return (codes * Spread(
                stored,
                scale,
                factor.to(ScalarType.Float32),
                shape,
                blocks)).to(type ?? widest);
        }
        return new DecodedWeight(name, shape, stored.Present(name, scale, zero, name + "_shape"), CodeSteps.Scoped(Make));
    }

    // Bytes are powers of two (E8M0: 2^(byte - 127)), as in the MX formats.
    private static Tensor Scale(StoredTensors stored, string scale) =>
        stored.Kind(scale) == "U8" ? (stored.Map(scale).to(ScalarType.Float32) - 127).exp2() : stored.Map(scale);

    /// <summary>The size of blocks in the settings; 128 by 128, as in DeepSeek-V3, when they have none.</summary>
    /// <param name="sizes">The two sizes, from <c>weight_block_size</c> or <c>block_structure</c>.</param>
    internal static (long Rows, long Columns) Blocks(JsonNode? sizes) =>
        sizes is JsonArray { Count: 2 } pair
            && pair.All(size => size is JsonValue value && value.TryGetValue<long>(out var number) && number > 0)
            ? (pair[0]!.GetValue<long>(), pair[1]!.GetValue<long>())
            : (128, 128);

    // How many rows and columns share a scale.
    private static (long Rows, long Columns) Grid(StoredTensors stored, string name, string scale, (long Rows, long Columns) blocks)
    {
        var (shape, sizes) = (stored.Shape(name), stored.Shape(scale));
        if (sizes.Length == 0 || sizes.All(size => size == 1)) return (shape[0], shape[1]);
        if (sizes.Length <= 2 && sizes[0] == shape[0] && (sizes.Length == 1 || sizes[1] == 1)) return (1, shape[1]);
        // The last block of a row or column may be cut off.
        var (rows, columns) = blocks;
        if (sizes.Length == 2 && sizes[0] == (shape[0] + rows - 1) / rows && sizes[1] == (shape[1] + columns - 1) / columns) return blocks;
        throw new InputException($"{scale} has the shape [{string.Join(", ", sizes)}], which matches no layout of scales for {name}"
            + $" [{string.Join(", ", shape)}]:"
            + $" one, one a row, or one a block of {rows} by {columns} (weight_block_size). {CodeSteps.FetchAgain}");
    }

    private static Tensor Spread(
        StoredTensors stored,
        string scale,
        Tensor factors,
        long[] shape,
        (long Rows, long Columns) blocks)
    {
        var name = scale[..(scale.LastIndexOf(".weight", StringComparison.Ordinal) + ".weight".Length)];
        var (rows, columns) = Grid(stored, name, scale, blocks);
        var grid = factors.reshape((shape[0] + rows - 1) / rows, (shape[1] + columns - 1) / columns);
        return grid.repeat_interleave(rows, 0).narrow(0, 0, shape[0]).repeat_interleave(columns, 1).narrow(1, 0, shape[1]);
    }
}
