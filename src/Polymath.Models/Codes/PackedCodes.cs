using System.Text.Json.Nodes;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// The layouts of compressed-tensors. <c>pack-quantized</c> (<c>unpack_from_int32</c>): <c>weight_packed</c> [out, ⌈in·bits/32⌉] along
/// the input, codes with an offset of half their range; <c>weight_scale</c> [out, groups]; <c>weight_zero_point</c> packed the same way
/// along the output when the codes are not symmetric; <c>weight_g_idx</c> [in] when groups are not in order; <c>weight_shape</c>. A weight
/// is (code - zero) · scale. Floats and integers of eight bits are <see cref="Float8Codes"/>.
/// </summary>
internal static class PackedCodes
{
    private static readonly string[] formats = ["float-quantized", "int-quantized", "naive-quantized", "pack-quantized", "dense"];

    /// <summary>The weights.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="settings">The configuration's settings for them.</param>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, JsonObject settings)
    {
        var groups = (settings["config_groups"] as JsonObject)?.Select(pair => pair.Value).OfType<JsonObject>().ToList() ?? [];
        var named = groups.Select(group => group["format"]?.ToString()).Append(settings["format"]?.ToString()).OfType<string>();
        var sparsity = settings["sparsity_config"]?["format"]?.ToString() ?? "dense";
        foreach (var format in named.Append(sparsity).Where(format => format != "mixed-precision"))
        {
            if (!formats.Contains(format))
                throw new InputException($"quantization_config: compressed-tensors of the format '{format}' is not read;"
                    + $" {string.Join(", ", formats)} are. Fetch the model in one of these, or in 16 bits.");
        }
        var bits = groups.Select(group => group["weights"] is JsonObject weights ? GptqCodes.Int(weights, "num_bits") : null)
            .OfType<int>().Distinct().ToList();
        foreach (var module in stored.Before(".weight_packed").ToList())
            yield return One(stored, module, bits);
        foreach (var weight in Float8Codes.Of(stored, Blocks(groups), null)) yield return weight;
    }

    // A scale for a block of rows and columns, or for some columns of a row.
    private static (long Rows, long Columns) Blocks(List<JsonObject> groups)
    {
        var weights = groups.Select(group => group["weights"]).OfType<JsonObject>().FirstOrDefault() ?? [];
        return weights["strategy"]?.ToString() == "group" && GptqCodes.Int(weights, "group_size") is > 0 and var size ? (1, size)
            : Float8Codes.Blocks(weights["block_structure"]);
    }

    private static DecodedWeight One(StoredTensors stored, string module, List<int> known)
    {
        string name = module + ".weight", packed = name + "_packed", scales = name + "_scale", zeros = name + "_zero_point",
            places = name + "_g_idx", shapes = name + "_shape";
        stored.Expect(packed, "I32", -1, -1);
        stored.Expect(shapes, "I64 I32", 2);
        long[] shape;
        using (var sizes = stored.Map(shapes).to(ScalarType.Int64)) shape = sizes.data<long>().ToArray();
        var (output, input) = (shape[0], shape[1]);
        var bits = known.Find(count =>
            stored.Shape(packed) is [var rows, var words] && rows == output && words == (input + 32 / count - 1) / (32 / count));
        if (bits is not (2 or 4 or 8))
            throw new InputException($"{packed} [{string.Join(", ", stored.Shape(packed))}] does not hold [{output}, {input}] codes of"
                + $" {string.Join(" or ", known)} bits; 2, 4 and 8 are read. {CodeSteps.FetchAgain}");
        stored.Expect(scales, CodeSteps.Real, output, -1);
        var groups = stored.Shape(scales)[1];
        if (groups == 0 || input % groups != 0)
            throw new InputException($"{scales} has {groups} groups, which do not fill {input} inputs. {CodeSteps.FetchAgain}");
        if (stored.Has(places)) stored.Expect(places, "I32 I64", input);
        Tensor Make()
        {
            var half = 1 << (bits - 1);
            var code = CodeSteps.Unpack(stored.Map(packed), bits).flatten(1).narrow(1, 0, input) - half;
            var place = stored.Has(places) ? stored.Map(places).to(ScalarType.Int64)
                : arange(0, input, dtype: ScalarType.Int64).floor_divide(tensor(input / groups));
            var scale = stored.Map(scales);
            if (stored.Has(zeros))
                code -= Zeros(
                    stored,
                    zeros,
                    bits,
                    output,
                    groups).index_select(1, place);
            return (code.to(ScalarType.Float32) * scale.to(ScalarType.Float32).index_select(1, place)).to(scale.dtype);
        }
        return new DecodedWeight(
            name,
            shape,
            stored.Present(
                packed,
                scales,
                zeros,
                places,
                shapes),
            CodeSteps.Scoped(Make));
    }

    private static Tensor Zeros(
        StoredTensors stored,
        string zeros,
        int bits,
        long output,
        long groups)
    {
        if (stored.Kind(zeros) != "I32") return stored.Map(zeros).to(ScalarType.Int32);
        stored.Expect(zeros, "I32", (output + 32 / bits - 1) / (32 / bits), groups);
        return CodeSteps.Unpack(stored.Map(zeros).t(), bits).flatten(1).narrow(1, 0, output).t() - (1 << (bits - 1));
    }
}
