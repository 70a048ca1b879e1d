using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tensors.Kernels;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training.Stages;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Weights that stay in the 16 bits of their file: the results of 32 bits, in half the memory.</summary>
[Trait("kind", "invariant")]
public sealed class HalfTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Theory]
    [InlineData(ScalarType.BFloat16, 1, 37)]
    [InlineData(ScalarType.BFloat16, 9, 64)]
    [InlineData(ScalarType.Float16, 3, 50)]
    [InlineData(ScalarType.Float16, 70, 16)]
    public void A_product_is_that_of_the_widened_weights_and_so_is_its_gradient(ScalarType type, int rows, int width)
    {
        using var scope = NewDisposeScope();
        var weight = (Samples.Normal("w", 29, width) * 0.01).to(type);
        Samples.Agree(
            x => HalfProduct.Linear(x[0], weight, x[1]),
            x => HalfProduct.PlainLinear(x[0], weight) + x[1],
            1e-5,
            $"{type}",
            Samples.Normal("x", rows, width),
            Samples.Normal("b", 29));
    }

    [Fact]
    public void Every_float16_is_widened_exactly()
    {
        using var scope = NewDisposeScope();
        var bits = Enumerable.Range(0, 65536).Select(i => (short)i)
            .Where(i => float.IsFinite((float)BitConverter.Int16BitsToHalf(i))).ToArray();
        // One number a row, with zeros beside it to fill a vector.
        var weight = zeros(bits.Length, 16, dtype: ScalarType.Float16);
        weight.select(1, 3).copy_(tensor(Array.ConvertAll(bits, i => (float)BitConverter.Int16BitsToHalf(i))));
        var x = zeros(1, 16);
        x[0, 3] = 1f;
        Assert.Equal(Array.ConvertAll(bits, i => (float)BitConverter.Int16BitsToHalf(i)), Samples.Floats(HalfProduct.Linear(x, weight)));
    }

    public static TheoryData<string, string> Folders => new()
    {
        { "llama", "bfloat16" }, { "gpt2", "float16" }, { "mixtral", "bfloat16" }, { "gemma2", "bfloat16" }, { "chatglm2", "float16" },
        { "t5", "bfloat16" }, { "bert-mlm", "float16" },
    };

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_model_in_16_bits_answers_as_one_whose_file_has_the_same_numbers_in_32(string name, string type)
    {
        string half = folder.At("half"), wide = folder.At("wide");
        using (var model = ModelFolder.Open(TextFixtures.At("models", name)))
            ModelWriter.Write(model, half, ModelWriter.Types[type], 40_000);
        using (var model = ModelFolder.Open(half))
        {
            Assert.Contains(model.Weights, weight => weight.Value.dtype == ModelWriter.Types[type]);
            Assert.All(
                model.Weights.Where(weight => weight.Value.shape.Length == 1),
                weight => Assert.Equal(ScalarType.Float32, weight.Value.dtype));
            ModelWriter.Write(model, wide, ScalarType.Float32, long.MaxValue);
            // An unchanged weight is saved in its original form.
            ModelFolder.Save(model, folder.At("again"));
        }
        Assert.Equal(ModelFolder.Hash(half), ModelFolder.Hash(folder.At("again")));
        Assert.True(JsonNode.Parse(File.ReadAllText(Path.Combine(half, "config.json")))!["dtype"]?.ToString() == type
            || JsonNode.Parse(File.ReadAllText(Path.Combine(half, "config.json")))!["torch_dtype"]?.ToString() == type);
        using LanguageModel narrow = ModelFolder.Open(half), same = ModelFolder.Open(wide);
        using var scope = NewDisposeScope();
        var rows = new List<TokenRow> { Toy.Row(9, 0, half: true), Toy.Row(4, 1, half: true), Toy.Row(13, 2, half: true) };
        using Batch one = narrow.Lay(rows), two = same.Lay(rows);
        using (no_grad()) Samples.Near(same.Unembed(same.Hidden(two)), narrow.Unembed(narrow.Hidden(one)), 2e-5, "logits");
        Samples.Near(same.NegativeLogLikelihood(two), narrow.NegativeLogLikelihood(one), 2e-5, "loss");
        if (narrow.Reading != Reading.Decoder) return;
        var settings = new SamplingSettings(Temperature: 0, MaxNewTokens: 12);
        Assert.Equal(
            new TokenGenerator(same, []).Generate([[3, 4, 5], [6]], settings, cancellation: TestContext.Current.CancellationToken),
            new TokenGenerator(narrow, []).Generate([[3, 4, 5], [6]], settings, cancellation: TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_delta_on_frozen_16_bits_gets_the_gradients_of_32()
    {
        using (var model = ModelFolder.Open(TextFixtures.At("models", "llama")))
            ModelWriter.Write(model, folder.At("half"), ScalarType.BFloat16, long.MaxValue);
        using (var model = ModelFolder.Open(folder.At("half")))
            ModelWriter.Write(model, folder.At("wide"), ScalarType.Float32, long.MaxValue);
        var gradients = new List<Dictionary<string, float[]>>();
        foreach (var place in new[] { "half", "wide" })
        {
            using var model = ModelFolder.Open(folder.At(place));
            using var method = TrainedMethod.Attach(model, new LoraMethod(R: 4, TargetModules: ["all-linear"]), 3, "stage");
            using var scope = NewDisposeScope();
            foreach (var weight in method.Weights.Where(weight => weight.Name.Contains("lora_B", StringComparison.Ordinal)))
                weight.Assign(Samples.Normal(weight.Name, weight.Value.shape) * 0.1);
            using var batch = Batch.Of(Toy.Rows(9, 4, 13));
            Polymath.Tensors.Fused.Backpropagate(model.NegativeLogLikelihood(batch));
            gradients.Add(method.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value.grad!)));
            if (place == "half")
                Assert.All(model.Projections, projection => Assert.Equal(ScalarType.BFloat16, projection.Weight.Value.dtype));
        }
        Assert.All(gradients[0], pair => Assert.True(Samples.Gap(gradients[1][pair.Key], pair.Value) < 1e-4, pair.Key));
    }

    [Fact]
    public void What_is_trained_or_merged_is_held_and_written_in_32_bits()
    {
        using (var model = ModelFolder.Open(TextFixtures.At("models", "llama")))
            ModelWriter.Write(model, folder.At("half"), ScalarType.BFloat16, long.MaxValue);
        using var opened = ModelFolder.Open(folder.At("half"));
        var before = Toy.Values(opened.Weights);
        var method = TrainedMethod.Attach(opened, new FreezeMethod(["*q_proj.weight"]), 1, "stage");
        Assert.All(method.Weights, weight => Assert.Equal((ScalarType.Float32, true), (weight.Value.dtype, weight.Trainable)));
        Assert.All(Toy.Values(opened.Weights), pair => Assert.Equal(before[pair.Key], pair.Value));
        ModelFolder.Save(opened, folder.At("trained"));
        using var file = WeightFile.OpenAny(folder.At("trained", "model.safetensors"));
        Assert.All(file.Entries.Values, entry => Assert.Equal("F32", entry.Kind));
    }

    [Fact]
    public void Shards_and_their_index_are_cut_as_asked()
    {
        using (var model = ModelFolder.Open(TextFixtures.At("models", "llama")))
            ModelWriter.Write(model, folder.Path, ScalarType.Float32, 60_000);
        var shards = Directory.GetFiles(folder.Path, "model-*.safetensors");
        Assert.True(shards.Length > 3);
        Assert.All(shards, shard => Assert.EndsWith($"-of-{shards.Length:D5}.safetensors", shard));
        var index = JsonNode.Parse(File.ReadAllText(folder.At("model.safetensors.index.json")))!;
        using var model2 = ModelFolder.Open(folder.Path);
        Assert.Equal(model2.Weights.Sum(weight => weight.Count * 4), index["metadata"]!["total_size"]!.GetValue<long>());
        Assert.Equal(model2.Weights.Count, index["weight_map"]!.AsObject().Count);
        Assert.Equal(ModelFolder.Hash(TextFixtures.At("models", "llama")), ModelFolder.Hash(folder.Path));
    }
}
