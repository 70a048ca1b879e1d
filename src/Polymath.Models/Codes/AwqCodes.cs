using System.Text.Json.Nodes;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// AWQ's GEMM layout of four bits (Lin et al. 2023; AutoAWQ, <c>dequantize_gemm</c>): <c>qweight</c> [in, out/8] and <c>qzeros</c> [groups,
/// out/8] pack eight outputs into a word in the order 0, 2, 4, 6, 1, 3, 5, 7; <c>scales</c> [groups, out]. A weight is (code - zero) ·
/// scale.
/// </summary>
internal static class AwqCodes
{
    // The place of output 0, 1, .. of a word among its eight codes.
    private static readonly long[] places = [0, 4, 1, 5, 2, 6, 3, 7];

    /// <summary>The weights.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="settings">The configuration's settings for them.</param>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, JsonObject settings)
    {
        var version = settings["version"]?.ToString().ToLowerInvariant() ?? "gemm";
        var backend = settings["backend"]?.ToString().ToLowerInvariant() ?? "autoawq";
        var bits = GptqCodes.Int(settings, "bits") ?? GptqCodes.Int(settings, "w_bit") ?? 4;
        if (version != "gemm" || backend != "autoawq" || bits != 4)
            throw new InputException($"quantization_config: AWQ of version '{version}', backend '{backend}' and {bits} bits is not read;"
                + $" gemm of autoawq with 4 bits is. Fetch the model in that form, or in 16 bits.");
        var group = GptqCodes.Int(settings, "group_size") ?? GptqCodes.Int(settings, "q_group_size") ?? 128;
        foreach (var module in stored.Before(".qweight").ToList())
            yield return One(stored, module, group);
    }

    private static DecodedWeight One(StoredTensors stored, string module, int group)
    {
        string codes = module + ".qweight", zeros = module + ".qzeros", scales = module + ".scales";
        stored.Expect(codes, "I32", -1, -1);
        var (input, words) = (stored.Shape(codes)[0], stored.Shape(codes)[1]);
        var size = group <= 0 ? input : group;
        var count = input / size;
        if (input % size != 0)
            throw new InputException($"{codes} has {input} inputs, which groups of {size} do not fill. Compare group_size with the model's"
                + $" published configuration.");
        stored.Expect(scales, CodeSteps.Real, count, words * 8);
        stored.Expect(zeros, "I32", count, words);
        Tensor Make()
        {
            var order = tensor(places);
            var code = CodeSteps.Unpack(stored.Map(codes), 4).index_select(-1, order).reshape(count, size, words * 8);
            var zero = CodeSteps.Unpack(stored.Map(zeros), 4).index_select(-1, order).reshape(count, 1, words * 8);
            var scale = stored.Map(scales);
            var numbers = (code - zero).to(ScalarType.Float32) * scale.to(ScalarType.Float32).unsqueeze(1);
            return numbers.to(scale.dtype).reshape(input, words * 8).t();
        }
        return new DecodedWeight(module + ".weight", [words * 8, input], [codes, zeros, scales], CodeSteps.Scoped(Make));
    }
}
