using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Export;
using Polymath.Tensors.Files;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Peers;

/// <summary>
/// A random model in the shape of a reference case, wide enough for every type of blocks, that is exported with tokens that are whole
/// words.
/// </summary>
internal sealed class GgufCase : IDisposable
{
    private static readonly Dictionary<string, int> widths = new()
    {
        ["hidden_size"] = 256, ["d_model"] = 256, ["n_embd"] = 256, ["intermediate_size"] = 512, ["n_inner"] = 512,
        ["ffn_hidden_size"] = 512, ["d_ff"] = 512, ["moe_intermediate_size"] = 256,
        ["head_dim"] = 64, ["kv_channels"] = 64, ["d_kv"] = 64, ["query_pre_attn_scalar"] = 64, ["num_attention_heads"] = 4, ["n_head"] = 4,
        ["num_heads"] = 4,
    };

    private readonly string folder;
    private readonly List<Tensor> original = [];
    private readonly Dictionary<string, int[]> sources = [];

    public GgufCase(string name, string folder, string? changes)
    {
        this.folder = folder;
        var place = new[] { TextFixtures.At("models", name), TextFixtures.At("families", name), TextFixtures.At("own", "models", name) }
            .Single(Directory.Exists);
        var configuration = ModelFolder.Configuration(place);
        foreach (var (key, width) in widths)
            if (configuration[key] is not null) configuration[key] = width;
        foreach (var (key, value) in JsonNode.Parse(changes ?? "{}")!.AsObject()) configuration[key] = value?.DeepClone();
        if ((configuration["rope_parameters"] as JsonObject)?["rope_type"]?.ToString() == "longrope")
            foreach (var (key, step) in new[] { ("short_factor", 0.01), ("long_factor", 0.1) })
                configuration["rope_parameters"]![key] = new JsonArray([.. Enumerable.Range(0, 32).Select(i => (JsonNode)(1 + step * i))]);
        Model = ModelFolder.New((JsonObject)JsonNode.Parse(configuration.ToJsonString())!, 1);
        using var scope = NewDisposeScope();
        foreach (var weight in Model.Weights)
        {
            // Norms and biases away from one and zero, so that a missing one shows.
            var shape = weight.Value.shape;
            var (middle, spread) = shape.Length > 1 ? (0, 1.2 / Math.Sqrt(shape[^1])) : (weight.Value.max().item<float>(), 0.2);
            weight.Assign(Samples.Normal(weight.Name, shape) * spread + middle);
            original.Add(weight.Value.clone().DetachFromDisposeScope());
        }
    }

    public LanguageModel Model { get; }

    /// <summary>Writes the model, as it was made, with one type of blocks.</summary>
    public GgufContent Export(BlockType type, string file)
    {
        for (var i = 0; i < original.Count; i++) Model.Weights[i].Assign(original[i]);
        return Write(type, file);
    }

    private GgufContent Write(BlockType type, string file)
    {
        var writer = new GgufWriter();
        new GgufModel(Model).AddTo(writer, type, "case");
        var count = Model.Sizes.VocabularySize;
        // A line break must be among the tokens; the rest are words that no other holds.
        writer.Add("tokenizer.ggml.model", "llama");
        writer.Add("tokenizer.ggml.tokens", Enumerable.Range(0, count).Select(i => i == 3 ? "<0x0A>" : Word(i)).ToList());
        writer.Add("tokenizer.ggml.scores", new float[count]);
        writer.Add("tokenizer.ggml.token_type", Enumerable.Range(0, count).Select(i => i == 3 ? 6 : 4).ToList());
        writer.Add("tokenizer.ggml.add_bos_token", false);
        writer.Add("tokenizer.ggml.add_space_prefix", false);
        writer.Write(Path.Combine(folder, file));
        return GgufContent.Read(Path.Combine(folder, file));
    }

    public static string Word(int id) => $"[{id}]";

    /// <summary>
    /// Gives the model the numbers that a file's blocks hold. Where a number of a file stands in the model is read from a file of the same
    /// model whose weights are their own places.
    /// </summary>
    public void Adopt(GgufContent file)
    {
        using var scope = NewDisposeScope();
        if (sources.Count == 0) Trace();
        var all = original.Select(Samples.Floats).ToArray();
        var starts = all.Select(values => (long)values.Length)
            .Aggregate(new List<long> { 0 }, (sums, length) => [.. sums, sums[^1] + length]);
        var flat = all.SelectMany(values => values).ToArray();
        foreach (var name in file.Tensors.Keys.Where(name => file.TypeOf(name) != "f32"))
        {
            var values = file.Floats(name);
            for (var i = 0; i < values.Length; i++) flat[sources[name][i]] = values[i];
        }
        for (var i = 0; i < Model.Weights.Count; i++)
            Model.Weights[i].Assign(tensor(flat[(int)starts[i]..(int)starts[i + 1]], Model.Weights[i].Value.shape));
    }

    private void Trace()
    {
        long at = 0;
        foreach (var weight in Model.Weights)
        {
            weight.Assign(arange(at, at + weight.Count, ScalarType.Float32).reshape(weight.Value.shape));
            at += weight.Count;
        }
        Assert.True(at < 1 << 24, "a place must be a whole number of 32-bit floats");
        var file = Write(BlockType.F32, "places.gguf");
        foreach (var name in file.Tensors.Keys.Where(name => file.Tensors[name].Shape.Length > 1))
            sources[name] = [.. file.Floats(name).Select(place => (int)place)];
    }

    public void Dispose()
    {
        Model.Dispose();
        foreach (var value in original) value.Dispose();
    }
}
