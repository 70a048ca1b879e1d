using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Writes models as transformers does: one file, or shards of a limited size with an index, and the configuration with the weights' type.
/// </summary>
public static class ModelWriter
{
    /// <summary>The types a model may be written in, by their names in <c>config.json</c>.</summary>
    public static IReadOnlyDictionary<string, ScalarType> Types { get; } = new Dictionary<string, ScalarType>(StringComparer.Ordinal)
    {
        ["float32"] = ScalarType.Float32, ["float16"] = ScalarType.Float16, ["bfloat16"] = ScalarType.BFloat16,
    };

    /// <summary>
    /// The best type for writing a model: the 16 bits of its files when nothing has changed it, 32 bits when it was trained, even in part.
    /// </summary>
    /// <param name="model">The model.</param>
    public static ScalarType TypeOf(LanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var types = model.Weights.Select(weight => weight.FileType).Distinct().ToList();
        return types is [ScalarType.BFloat16 or ScalarType.Float16] ? types[0] : ScalarType.Float32;
    }

    /// <summary>Writes the configuration and the weights.</summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="type">The type of every weight.</param>
    /// <param name="shardSize">The most bytes of weights in a file; a larger weight has its own file.</param>
    /// <param name="before">Called before each weight; an exception stops the writing and leaves no files.</param>
    /// <param name="change">Returns the tensor to write instead of a weight; null, or a result of null, for the unchanged weight. One
    /// weight at a time is in memory.</param>
    public static void Write(
        LanguageModel model,
        string folder,
        ScalarType type,
        long shardSize,
        Action? before = null,
        Func<Weight, Tensor?>? change = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        var width = type == ScalarType.Float32 ? 4 : 2;
        var shards = Cut(model.Weights, shardSize, width);
        var map = new JsonObject();
        for (var i = 0; i < shards.Count; i++)
        {
            var name = shards.Count == 1 ? "model.safetensors" : $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors";
            SafetensorsWriter.Write(
                Path.Combine(folder, name),
                [.. shards[i].Select(weight => new PendingTensor(weight.Name, type, weight.Shape, () => Of(weight, type, change)))],
                before: before);
            foreach (var weight in shards[i]) map[weight.Name] = name;
        }
        if (shards.Count > 1)
            AtomicFile.WriteText(
                Path.Combine(folder, "model.safetensors.index.json"),
                Index(model.Weights, map, width).ToJsonString(JsonLayout.Indented) + "\n");
        AtomicFile.WriteText(Path.Combine(folder, "config.json"), Configuration(model, type).ToJsonString(JsonLayout.Indented) + "\n");
        // A head over labels does not generate.
        if (model.Labels is null) model.Generation?.Save(folder);
    }

    private static Tensor Of(Weight weight, ScalarType type, Func<Weight, Tensor?>? change)
    {
        using var frozen = no_grad();
        if (change?.Invoke(weight) is { } changed)
        {
            Fit(weight, changed, type);
            return changed.detach().to(type);
        }
        if (type == ScalarType.Float16)
        {
            using var wide = weight.Wide();
            Fit(weight, wide, type);
        }
        return weight.Quantized is null && weight.Value.dtype == type ? weight.Value.detach() : weight.Wide().to(type);
    }

    private static void Fit(Weight weight, Tensor value, ScalarType type)
    {
        if (type == ScalarType.Float16) Float16Fit.Check(weight.Name, value.detach(), "--dtype bfloat16 or --dtype float32");
    }

    // Shards as in transformers: in the order of the model, a new file when the next weight would not fit.
    private static List<List<Weight>> Cut(IReadOnlyList<Weight> weights, long shardSize, int width)
    {
        var shards = new List<List<Weight>> { new() };
        long size = 0;
        foreach (var weight in weights)
        {
            var own = weight.Count * width;
            if (shards[^1].Count > 0 && own > shardSize - size)
            {
                shards.Add([]);
                size = 0;
            }
            shards[^1].Add(weight);
            size += own;
        }
        return shards;
    }

    private static JsonObject Index(IReadOnlyList<Weight> weights, JsonObject map, int width)
    {
        var sorted = new JsonObject();
        foreach (var (name, file) in map.OrderBy(pair => pair.Key, StringComparer.Ordinal)) sorted[name] = file!.GetValue<string>();
        var count = weights.Sum(weight => weight.Count);
        return new JsonObject
        {
            ["metadata"] = new JsonObject { ["total_parameters"] = count, ["total_size"] = count * width }, ["weight_map"] = sorted,
        };
    }

    // transformers 5 reads dtype, older ones torch_dtype; the file keeps its own key.
    private static JsonObject Configuration(LanguageModel model, ScalarType type)
    {
        var configuration = (JsonObject)model.Configuration.DeepClone();
        var name = Types.First(pair => pair.Value == type).Key;
        foreach (var key in new[] { "dtype", "torch_dtype" })
            if (configuration.ContainsKey(key)) configuration[key] = name;
        if (!configuration.ContainsKey("dtype") && !configuration.ContainsKey("torch_dtype") && type != ScalarType.Float32)
            configuration["torch_dtype"] = name;
        return configuration;
    }
}
