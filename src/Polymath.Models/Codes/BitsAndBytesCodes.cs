using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>
/// The layouts of bitsandbytes. Four bits (Dettmers et al. 2023, <c>dequantize_4bit</c>): two codes in a byte, the first in the upper half,
/// in the order of the weight's elements; a code stands for <c>quant_map[code]</c> times the largest value of its block; these largest
/// values may be codes themselves. Eight bits (Dettmers et al. 2022, <c>int8_vectorwise_dequant</c>): code times the row's largest value
/// over 127.
/// </summary>
internal static class BitsAndBytesCodes
{
    private const string State = ".quant_state.bitsandbytes__";

    // bitsandbytes multiplies with this instead of dividing by 127.
    private const float Step = 7.874015718698502e-3f;

    /// <summary>The weights of either layout.</summary>
    /// <param name="stored">The files' tensors.</param>
    /// <param name="type">The model's type, to which eight-bit weights are converted.</param>
    /// <param name="turned">Whether a weight is transposed in the model (GPT-2): files hold it as [out, in].</param>
    internal static IEnumerable<DecodedWeight> Of(StoredTensors stored, ScalarType type, Func<string, bool> turned)
    {
        foreach (var state in stored.Names.Where(name => name.Contains(State, StringComparison.Ordinal)).ToList())
            yield return FourBits(stored, state, turned);
        foreach (var module in stored.Before(".SCB").ToList())
            yield return EightBits(stored, module, type, turned);
    }

    private static DecodedWeight FourBits(StoredTensors stored, string state, Func<string, bool> turned)
    {
        var name = state[..state.IndexOf(State, StringComparison.Ordinal)];
        var settings = Read(stored, state);
        var shape = Shape(settings, state);
        var turn = turned(name) && shape.Length == 2;
        string map = name + ".quant_map", largest = name + ".absmax", nestedLargest = name + ".nested_absmax",
            nestedMap = name + ".nested_quant_map";
        var count = shape.Aggregate(1L, (product, size) => product * size);
        var block = Number(settings, "blocksize", state);
        stored.Expect(map, "F32", 16);
        stored.Expect(largest, "U8 F32", (count + block - 1) / block);
        Tensor Make()
        {
            var bytes = stored.MapBytes(name);
            if (bytes.numel() != (count + 1) / 2) throw Fault(state, $"says {count:N0} elements, {name} has {bytes.numel():N0} bytes");
            var upper = bytes.bitwise_right_shift(tensor(4, dtype: ScalarType.Byte));
            var lower = bytes.bitwise_and(tensor(15, dtype: ScalarType.Byte));
            var codes = stack([upper, lower], 1).flatten().narrow(0, 0, count);
            var scale = stored.Map(largest);
            if (scale.dtype == ScalarType.Byte)
            {
                var outer = Spread(stored.Map(nestedLargest), Number(settings, "nested_blocksize", state), scale.numel());
                scale = stored.Map(nestedMap).index_select(0, scale.to(ScalarType.Int32)) * outer + Offset(settings, state);
            }
            var values = stored.Map(map).index_select(0, codes.to(ScalarType.Int32)) * Spread(scale, block, count);
            var matrix = values.to(CodeSteps.TypeOf(settings["dtype"]?.ToString())).view(shape);
            return turn ? matrix.t() : matrix;
        }
        var parts = stored.Present(
            name,
            state,
            map,
            largest,
            nestedLargest,
            nestedMap);
        return new DecodedWeight(name, turn ? [shape[1], shape[0]] : shape, parts, CodeSteps.Scoped(Make));
    }

    private static DecodedWeight EightBits(StoredTensors stored, string module, ScalarType type, Func<string, bool> turned)
    {
        string name = module + ".weight", scales = module + ".SCB", format = module + ".weight_format";
        stored.Expect(name, "I8", -1, -1);
        var shape = stored.Shape(name);
        stored.Expect(scales, CodeSteps.Real, shape[0]);
        // 0 is row by row; the other numbers are layouts for certain kinds of GPUs.
        if (stored.Has(format) && stored.Bytes(format) is not [0])
            throw Fault(format, "is not 0: the codes lie in a layout for one kind of GPU");
        var turn = turned(name);
        Tensor Make()
        {
            var matrix = (stored.Map(name).to(ScalarType.Float32) * stored.Map(scales).to(ScalarType.Float32).unsqueeze(1) * Step).to(type);
            return turn ? matrix.t() : matrix;
        }
        return new DecodedWeight(name, turn ? [shape[1], shape[0]] : shape, stored.Present(name, scales, format), CodeSteps.Scoped(Make));
    }

    private static Tensor Spread(Tensor blocks, long size, long count) => blocks.repeat_interleave(size).narrow(0, 0, count);

    private static JsonObject Read(StoredTensors stored, string state)
    {
        try
        {
            return JsonNode.Parse(stored.Bytes(state)) as JsonObject ?? throw Fault(state, "is not a JSON object");
        }
        catch (JsonException e)
        {
            throw Fault(state, $"is not JSON ({e.Message})");
        }
    }

    private static long[] Shape(JsonObject settings, string state) =>
        settings["shape"] is JsonArray { Count: > 0 } sizes
            && sizes.All(size => size is JsonValue value && value.TryGetValue<long>(out var number) && number is > 0 and < 1L << 40)
            ? [.. sizes.Select(size => size!.GetValue<long>())]
            : throw Fault(state, "says no shape");

    private static long Number(JsonObject settings, string key, string state) =>
        settings[key] is JsonValue value && value.TryGetValue<long>(out var number) && number > 0 ? number
            : throw Fault(state, $"says no {key}");

    private static float Offset(JsonObject settings, string state) =>
        settings["nested_offset"] is JsonValue value && value.TryGetValue<double>(out var number) ? (float)number
            : throw Fault(state, "says no nested_offset");

    private static InputException Fault(string name, string what) =>
        new($"{name} of bitsandbytes {what}. {CodeSteps.FetchAgain}");
}
