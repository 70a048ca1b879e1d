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
        var tensors = Tensors(model, type, change).ToList();
        var shards = Cut(tensors, shardSize);
        var map = new JsonObject();
        for (var i = 0; i < shards.Count; i++)
        {
            var name = shards.Count == 1 ? "model.safetensors" : $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors";
            SafetensorsWriter.Write(
                Path.Combine(folder, name),
                shards[i],
                before: before);
            foreach (var tensor in shards[i]) map[tensor.Name] = name;
        }
        if (shards.Count > 1)
            AtomicFile.WriteText(
                Path.Combine(folder, "model.safetensors.index.json"),
                Index(tensors, map).ToJsonString(JsonLayout.Indented) + "\n");
        var configuration = Configuration(model, type);
        AtomicFile.WriteText(
            Path.Combine(folder, "config.json"),
            (model.Envelope?.Wrap(configuration) ?? configuration).ToJsonString(JsonLayout.Indented) + "\n");
        model.Envelope?.SaveFiles(folder);
        // A head over labels does not generate.
        if (model.Labels is null) model.Generation?.Save(folder);
    }

    // The model's weights by their names in files, and those of a multimodal model's other parts.
    private static IEnumerable<PendingTensor> Tensors(LanguageModel model, ScalarType type, Func<Weight, Tensor?>? change)
    {
        var source = model.Envelope?.Source;
        // Experts that a multimodal model's files hold in one weight are put together again.
        var stacks = model.Projections
            .Where(map => map.Stack is { IsWhole: false } place && source?.HasStack(place.Name) is true)
            .GroupBy(map => map.Stack!.Name).ToDictionary(
                group => group.Key,
                group => group.OrderBy(map => map.Stack!.Expert).ThenBy(map => map.Stack!.Part).ToList());
        var within = stacks.SelectMany(pair => pair.Value.Select(map => (map.Weight, pair.Key))).ToDictionary();
        foreach (var weight in model.Weights)
        {
            if (!within.TryGetValue(weight, out var stack))
            {
                yield return new PendingTensor(
                    source?.NameInFile(weight.Name) ?? weight.Name,
                    type,
                    weight.Shape,
                    () => Of(weight, type, change));
            }
            else if (stacks[stack][0].Weight == weight)
            {
                var maps = stacks[stack];
                var experts = maps.Count / maps[0].Stack!.Parts;
                yield return new PendingTensor(
                    source!.NameInFile(stack),
                    type,
                    [experts, maps[0].Stack!.Parts * weight.Shape[0], weight.Shape[1]],
                    () => cat([.. maps.Select(map => Of(map.Weight, type, change))], 0).view(experts, -1, weight.Shape[1]));
            }
        }
        foreach (var other in model.Envelope?.Others ?? []) yield return other;
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
    private static List<List<PendingTensor>> Cut(IReadOnlyList<PendingTensor> tensors, long shardSize)
    {
        var shards = new List<List<PendingTensor>> { new() };
        long size = 0;
        foreach (var tensor in tensors)
        {
            var own = tensor.Bytes;
            if (shards[^1].Count > 0 && own > shardSize - size)
            {
                shards.Add([]);
                size = 0;
            }
            shards[^1].Add(tensor);
            size += own;
        }
        return shards;
    }

    private static JsonObject Index(IReadOnlyList<PendingTensor> tensors, JsonObject map)
    {
        var sorted = new JsonObject();
        foreach (var (name, file) in map.OrderBy(pair => pair.Key, StringComparer.Ordinal)) sorted[name] = file!.GetValue<string>();
        return new JsonObject
        {
            ["metadata"] = new JsonObject
            {
                ["total_parameters"] = tensors.Sum(tensor => tensor.Count), ["total_size"] = tensors.Sum(tensor => tensor.Bytes),
            },
            ["weight_map"] = sorted,
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
