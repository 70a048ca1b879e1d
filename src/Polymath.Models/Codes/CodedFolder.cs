using System.Text.Json.Nodes;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Codes;

/// <summary>Finds out whether a folder's weights are codes and how to read them; an unsupported method is refused by name.</summary>
internal static class CodedFolder
{
    private const string Read =
        "bitsandbytes (nf4, fp4 and int8), fp8, fbgemm_fp8, mxfp8, mxfp4, gptq (2, 4 and 8 bits), awq (gemm) and compressed-tensors"
        + " (float, int and pack-quantized)";

    /// <summary>The keys of <c>config.json</c> about codes; a model that was read has neither.</summary>
    internal static IReadOnlyList<string> Keys { get; } = ["quantization_config", "compression_config"];

    /// <summary>The weights that a folder's files hold as codes; null when there are none.</summary>
    /// <param name="configuration">The content of <c>config.json</c>.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="stored">The files' tensors.</param>
    /// <exception cref="InputException">The codes are of a method or layout that is not read, or parts of them are missing.</exception>
    internal static CodedWeights? Of(JsonObject configuration, string folder, StoredTensors stored)
    {
        var (settings, named) = Settings(configuration, folder);
        var method = named ?? Guess(stored);
        if (method is null) return null;
        var type = CodeSteps.TypeOf((configuration["dtype"] ?? configuration["torch_dtype"])?.ToString());
        // GPT-2's maps are stored as [in, out]; quantizers transpose them first.
        var gpt2 = configuration["model_type"]?.ToString() == "gpt2";
        bool Turned(string name) => gpt2 && name != "lm_head.weight";
        var weights = method switch
        {
            "bitsandbytes" => BitsAndBytesCodes.Of(stored, type, Turned),
            "fp8" or "fbgemm_fp8" or "mxfp8" => Float8(stored, settings, type),
            "mxfp4" => Mxfp4Codes.Of(stored, type),
            "gptq" => GptqCodes.Of(stored, settings, Turned),
            "awq" => AwqCodes.Of(stored, settings),
            "compressed-tensors" => PackedCodes.Of(stored, settings),
            _ => throw Refused(folder, method),
        };
        return new CodedWeights(method, weights.ToDictionary(weight => weight.Name, StringComparer.Ordinal), Float8Codes.Needless);
    }

    /// <summary>Whether a type of a file's elements is only used for codes, never for weights.</summary>
    /// <param name="kind">The type as safetensors writes it.</param>
    internal static bool IsCode(string kind) => kind is "I8" or "U8" or "I16" or "I32" or "I64" or "BOOL";

    private static IEnumerable<DecodedWeight> Float8(StoredTensors stored, JsonObject settings, ScalarType type) =>
        Float8Codes.Bare(stored).FirstOrDefault() is { } bare
            ? throw new InputException($"{bare} is floats of eight bits but has no scale ({bare}_scale_inv or {bare}_scale)."
                + $" {CodeSteps.FetchAgain}")
            : Float8Codes.Of(stored, Float8Codes.Blocks(settings["weight_block_size"]), type);

    private static (JsonObject Settings, string? Method) Settings(JsonObject configuration, string folder)
    {
        foreach (var key in Keys)
        {
            if (configuration[key] is not { } node) continue;
            if (node is not JsonObject settings) throw ConfigReader.Fault(key, $"is {node.ToJsonString()}, not an object");
            return (settings, MethodOf(settings, key));
        }
        // The first versions of AutoGPTQ and AutoAWQ had their settings in separate files.
        foreach (var (file, method) in new[] { ("quantize_config.json", "gptq"), ("quant_config.json", "awq") })
        {
            var path = Path.Combine(folder, file);
            if (File.Exists(path)) return (ModelFolder.ReadObject(path), method);
        }
        return ([], null);
    }

    private static string MethodOf(JsonObject settings, string key)
    {
        if (settings["quant_method"]?.ToString() is { Length: > 0 } method) return method.ToLowerInvariant();
        // The first versions of bitsandbytes named no method; compressed-tensors named none under its first key.
        if (settings.ContainsKey("load_in_4bit") || settings.ContainsKey("load_in_8bit")) return "bitsandbytes";
        if (key == "compression_config" || settings.ContainsKey("config_groups")) return "compressed-tensors";
        throw ConfigReader.Fault(key, "names no quant_method");
    }

    // Self-describing codes need no configuration.
    private static string? Guess(StoredTensors stored)
    {
        if (stored.Names.Any(name =>
            name.EndsWith(".SCB", StringComparison.Ordinal)
            || name.Contains(".quant_state.bitsandbytes__", StringComparison.Ordinal))) return "bitsandbytes";
        if (Mxfp4Codes.Are(stored)) return "mxfp4";
        return Float8Codes.Of(stored, Float8Codes.Blocks(null), null).Any() && !stored.Names.Any(name => stored.Kind(name) == "I8")
            ? "fp8" : null;
    }

    private static InputException Refused(string folder, string method) =>
        new($"{folder} holds weights that {method} quantized (config.json, quant_method), which is not read; {Read} are."
            + " Fetch the model they were made from, in 16 bits; or load it with the tool that made it, de-quantize it there and save"
                + " that.");
}
