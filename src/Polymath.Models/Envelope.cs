using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Text.Hubs;

namespace Polymath.Models;

/// <summary>
/// The multimodal model around a text model: its configuration, its own names of the text model's weights, the weights of its other parts,
/// and the files of what prepares pictures and sounds. A text model that is written is put into it again, so that the folder is what it
/// was, with other text weights.
/// </summary>
public sealed class Envelope
{
    private const string Text = "text_config", Tie = "tie_word_embeddings";

    // Multimodal models: the type of the text model within, and its class.
    private static readonly Dictionary<string, (string Type, string Architecture)> types = new(StringComparer.Ordinal)
    {
        ["gemma3"] = ("gemma3_text", "Gemma3ForCausalLM"),
        ["gemma4"] = ("gemma4_text", "Gemma4ForCausalLM"),
        ["qwen3_5"] = ("qwen3_5_text", "Qwen3_5ForCausalLM"),
        ["qwen3_5_moe"] = ("qwen3_5_moe_text", "Qwen3_5MoeForCausalLM"),
        ["llama4"] = ("llama4_text", "Llama4ForCausalLM"),
        ["mistral3"] = ("ministral3", "Ministral3ForCausalLM"),
    };

    // What the text model takes from the whole configuration where its own part does not say it.
    private static readonly string[] inherited =
    [
        Tie, "bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "quantization_config", "compression_config",
    ];

    private readonly JsonObject whole, unwrapped;
    private readonly Dictionary<string, byte[]> files;

    private Envelope(JsonObject whole, JsonObject unwrapped, FileWeights source, Dictionary<string, byte[]> files) =>
        (this.whole, this.unwrapped, Source, this.files) = (whole, unwrapped, source, files);

    /// <summary>The types of multimodal models whose text model can be read, each with that model's type.</summary>
    public static IReadOnlyDictionary<string, string> Types { get; } =
        types.ToDictionary(pair => pair.Key, pair => pair.Value.Type, StringComparer.Ordinal);

    /// <summary>The files, which hold the other parts' weights.</summary>
    internal FileWeights Source { get; }

    /// <summary>The envelope of a folder; null when its model is none of the multimodal ones.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="root">The folder with its weights, which may be another.</param>
    /// <param name="source">Its weights.</param>
    internal static Envelope? Of(string folder, string root, FileWeights source)
    {
        var whole = ModelFolder.ReadObject(Path.Combine(folder, "config.json"));
        if (!IsOne(whole)) return null;
        var files = HubSelection.Preparing.SelectMany(name => new[] { Path.Combine(folder, name), Path.Combine(root, name) })
            .Where(File.Exists).GroupBy(path => Path.GetFileName(path))
            .ToDictionary(same => same.Key, same => File.ReadAllBytes(same.First()));
        return new Envelope(whole, Unwrap(whole), source, files);
    }

    /// <summary>Whether a configuration is that of a multimodal model whose text model can be read.</summary>
    /// <param name="configuration">The content of a <c>config.json</c>.</param>
    internal static bool IsOne(JsonObject configuration) =>
        types.ContainsKey(configuration["model_type"]?.ToString() ?? "") && configuration[Text] is JsonObject;

    /// <summary>The configuration of the text model within a multimodal one; any other configuration as it is.</summary>
    /// <param name="configuration">The content of a <c>config.json</c>.</param>
    internal static JsonObject Unwrap(JsonObject configuration)
    {
        if (!IsOne(configuration)) return configuration;
        var inner = types[configuration["model_type"]!.ToString()];
        var text = (JsonObject)configuration[Text]!.DeepClone();
        text["model_type"] ??= inner.Type;
        text["architectures"] = new JsonArray(inner.Architecture);
        foreach (var key in inherited)
            if (!text.ContainsKey(key) && configuration[key] is { } value) text[key] = value.DeepClone();
        return text;
    }

    /// <summary>The whole configuration, with what the text model's has become.</summary>
    /// <param name="text">The text model's configuration.</param>
    public JsonObject Wrap(JsonObject text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var result = (JsonObject)whole.DeepClone();
        var own = (JsonObject)result[Text]!;
        foreach (var key in text.Select(pair => pair.Key).Union(unwrapped.Select(pair => pair.Key)).ToList())
        {
            if (JsonNode.DeepEquals(text[key], unwrapped[key]) && text.ContainsKey(key) == unwrapped.ContainsKey(key)) continue;
            // Both parts say it where both said it before; what is new belongs to the text model, except how the head is tied.
            var above = result.ContainsKey(key) && inherited.Contains(key) || key == Tie;
            if (above) Set(result, key, text);
            if (own.ContainsKey(key) || !above) Set(own, key, text);
        }
        return result;
    }

    private static void Set(JsonObject where, string key, JsonObject from)
    {
        if (from.ContainsKey(key)) where[key] = from[key]?.DeepClone();
        else where.Remove(key);
    }

    /// <summary>The weights of the other parts, as the files hold them.</summary>
    internal IReadOnlyList<PendingTensor> Others => Source.Others;

    /// <summary>Writes the files of what prepares pictures and sounds.</summary>
    /// <param name="folder">The folder.</param>
    internal void SaveFiles(string folder)
    {
        foreach (var (name, content) in files) File.WriteAllBytes(Path.Combine(folder, name), content);
    }
}
