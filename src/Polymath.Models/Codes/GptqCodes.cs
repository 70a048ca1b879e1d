using System.Text.Json.Nodes;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// GPTQ's layout (Frantar et al. 2022; AutoGPTQ and GPTQModel, <c>TorchQuantLinear.dequantize_weight</c>): <c>qweight</c> [in·bits/32,
/// out] packs codes along the input, <c>qzeros</c> [groups, out·bits/32] the zeros along the output, <c>scales</c> [groups, out],
/// <c>g_idx</c> [in] each input's group. The first format stores zeros minus one; <c>gptq_v2</c> stores them unchanged. A weight is scale
/// · (code - zero).
/// </summary>
internal static class GptqCodes
{
    /// <summary>The weights.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="settings">The configuration's settings for them.</param>
    /// <param name="turned">Whether a weight is transposed in the model (GPT-2).</param>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, JsonObject settings, Func<string, bool> turned)
    {
        var format = settings["checkpoint_format"]?.ToString() ?? "gptq";
        if (settings["is_marlin_format"]?.ToString() is "true" or "True") format = "marlin";
        if (format is not ("gptq" or "gptq_v2"))
            throw new InputException($"quantization_config: the GPTQ checkpoint_format is '{format}'; read are gptq and gptq_v2. Fetch the"
                + $" model in one of these, or in 16 bits.");
        var bits = Int(settings, "bits")
            ?? throw new InputException("quantization_config: GPTQ's bits are missing. Compare it with the model's published"
            + " configuration.");
        var group = Int(settings, "group_size") ?? 128;
        foreach (var module in stored.Before(".qweight").ToList())
            yield return One(
                stored,
                module,
                bits,
                group,
                format == "gptq" ? 1 : 0,
                turned);
    }

    private static DecodedWeight One(
        StoredTensors stored,
        string module,
        int bits,
        int group,
        int offset,
        Func<string, bool> turned)
    {
        string codes = module + ".qweight", zeros = module + ".qzeros", scales = module + ".scales", groups = module + ".g_idx",
            name = module + ".weight";
        stored.Expect(codes, "I32", -1, -1);
        var (rows, output) = (stored.Shape(codes)[0], stored.Shape(codes)[1]);
        // GPTQModel may give a module its own number of bits; the list of groups shows how many inputs there are.
        if (stored.Has(groups) && rows > 0) bits = (int)(rows * 32 / Math.Max(1, stored.Shape(groups)[0]));
        if (bits is not (2 or 4 or 8))
            throw new InputException($"{codes}: GPTQ of {bits} bits is not read; 2, 4 and 8 are. Fetch the model in one of these, or in 16"
                + $" bits.");
        var input = rows * 32 / bits;
        // A group without a size is the whole column.
        var size = group <= 0 ? input : group;
        var count = stored.Has(groups) ? stored.Shape(scales)[0] : (input + size - 1) / size;
        stored.Expect(scales, CodeSteps.Real, count, output);
        stored.Expect(zeros, "I32", count, (output * bits + 31) / 32);
        if (stored.Has(groups)) stored.Expect(groups, "I32", input);
        var turn = turned(name);
        Tensor Make()
        {
            var place = stored.Has(groups) ? stored.Map(groups)
                : arange(0, input, dtype: ScalarType.Int32).floor_divide(tensor((int)size));
            if (place.min().item<int>() < 0 || place.max().item<int>() >= count)
                throw new InputException($"{groups} names a group outside 0 to {count - 1}. Fetch the file again.");
            // [words, out] to [words, out, codes] to [in, out].
            var code = CodeSteps.Unpack(stored.Map(codes), bits).transpose(1, 2).reshape(input, output);
            var zero = CodeSteps.Unpack(stored.Map(zeros), bits).reshape(count, -1).narrow(1, 0, output) + offset;
            var scale = stored.Map(scales);
            var steps = (code - zero.index_select(0, place)).to(ScalarType.Float32);
            var matrix = (scale.to(ScalarType.Float32).index_select(0, place) * steps).to(scale.dtype);
            return turn ? matrix : matrix.t();
        }
        var parts = stored.Present(codes, zeros, scales, groups);
        return new DecodedWeight(name, turn ? [input, output] : [output, input], parts, CodeSteps.Scoped(Make));
    }

    /// <summary>A whole number of the settings.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="key">Its key.</param>
    internal static int? Int(JsonObject settings, string key) =>
        settings[key] is JsonValue value && value.TryGetValue<int>(out var number) ? number : null;
}
