using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Made-up folders of multimodal models, and what of them must not change.</summary>
internal static class MultimodalFolder
{
    internal const string Processor = "preprocessor_config.json", Settings = "{ \"size\": 8,  \"do_resize\":true }\n";

    /// <summary>The folders, by the type of the multimodal model.</summary>
    internal static TheoryData<string> Types => ["gemma3", "mistral3", "qwen3_5", "qwen3_5_moe", "llama4", "gemma4"];

    /// <summary>Writes a folder whose vision weights have types of their own, and the file of what prepares pictures.</summary>
    internal static void Write(ScratchFolder folder, string type, string? textFrom = null)
    {
        var published = type is "gemma3" or "mistral3" or "qwen3_5";
        var from = textFrom ?? TextFixtures.At("families", published ? $"{type}-wrapped" : type switch
        {
            "gemma4" => "gemma4_text-moe",
            _ => type + "_text",
        });
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> all;
        using (var file = SafetensorsFile.Open(Path.Combine(from, "model.safetensors")))
            all = file.Entries.Keys.ToDictionary(key => key, key => file.Map(key).clone());
        var configuration = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!.AsObject();
        if (!published || textFrom is not null) (all, configuration) = Wrapped(type, all, configuration);
        var vision = type is "qwen3_5" or "qwen3_5_moe" ? "model.visual." : "vision_tower.";
        all[vision + "made.weight"] = (arange(12).view(3, 4) / 7).to(ScalarType.BFloat16);
        all[vision + "made.places"] = arange(5, dtype: ScalarType.Int64);
        SafetensorsWriter.Write(folder.At("model.safetensors"), all);
        folder.Write("config.json", configuration.ToJsonString());
        folder.Write(Processor, Settings);
    }

    // Llama 4's and Mistral 3's names begin with language_model., the others' with model.language_model., where experts are in stacks.
    private static (Dictionary<string, Tensor> Weights, JsonObject Configuration) Wrapped(
        string type,
        Dictionary<string, Tensor> weights,
        JsonObject configuration)
    {
        var before = type is "llama4" or "mistral3";
        if (type == "qwen3_5_moe") weights = Stacked(weights);
        string Named(string name)
        {
            if (before) return "language_model." + name;
            return name.StartsWith("model.", StringComparison.Ordinal) ? "model.language_model." + name["model.".Length..] : name;
        }
        var named = weights.ToDictionary(pair => Named(pair.Key), pair => pair.Value);
        var whole = new JsonObject
        {
            ["architectures"] = new JsonArray("MadeForConditionalGeneration"),
            ["model_type"] = type,
            ["tie_word_embeddings"] = configuration["tie_word_embeddings"]?.DeepClone() ?? false,
            ["vision_config"] = new JsonObject { ["hidden_size"] = 4 },
        };
        if (configuration["dtype"] is { } kind) whole["dtype"] = kind.DeepClone();
        foreach (var key in new[] { "architectures", "tie_word_embeddings", "dtype", "transformers_version" }) configuration.Remove(key);
        whole["text_config"] = configuration;
        return (named, whole);
    }

    private static Dictionary<string, Tensor> Stacked(Dictionary<string, Tensor> weights)
    {
        var result = weights.Where(pair => !pair.Key.Contains(".experts.", StringComparison.Ordinal)).ToDictionary();
        foreach (var layer in weights.Keys.Where(key => key.Contains(".experts.0.gate_proj", StringComparison.Ordinal)))
        {
            var prefix = layer[..layer.IndexOf("0.gate_proj", StringComparison.Ordinal)];
            var count = weights.Keys.Count(key => key.StartsWith(prefix, StringComparison.Ordinal)) / 3;
            Tensor Of(int expert, string map) => weights[$"{prefix}{expert}.{map}_proj.weight"];
            result[prefix + "gate_up_proj"] = stack(Enumerable.Range(0, count).Select(e => cat([Of(e, "gate"), Of(e, "up")], 0)));
            result[prefix + "down_proj"] = stack(Enumerable.Range(0, count).Select(e => Of(e, "down")));
        }
        return result;
    }

    /// <summary>The bytes and types of the tensors of a folder's one file, or of its shards, by name.</summary>
    internal static Dictionary<string, (string Kind, string Shape, string Bytes)> Content(string folder)
    {
        var all = new Dictionary<string, (string, string, string)>();
        foreach (var path in Directory.GetFiles(folder, "model*.safetensors"))
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var (name, entry) in file.Entries)
                all.Add(name, (entry.Kind, string.Join(',', entry.Shape), Convert.ToHexString(file.Bytes(name))));
        }
        return all;
    }

    /// <summary>Whether a weight belongs to a part other than the text model.</summary>
    internal static bool IsOther(string name) => name.Contains("visi", StringComparison.Ordinal)
        || name.Contains("visual", StringComparison.Ordinal) || name.StartsWith("multi_modal_projector", StringComparison.Ordinal);
}
