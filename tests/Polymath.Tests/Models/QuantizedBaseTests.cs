using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>
/// Models whose frozen maps are stored in 4 or 8 bits, compared with the same models with the decoded values, in 32 bits.
/// </summary>
[Trait("kind", "invariant")]
public sealed class QuantizedBaseTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    // The model as it is held, and the file it writes, read back in 32 bits.
    private (LanguageModel Held, LanguageModel Wide) Both(string family, BasePrecision precision)
    {
        var held = ModelFolder.Open(TextFixtures.At("models", family));
        held.Quantize(precision);
        ModelFolder.Save(held, folder.At("wide"));
        return (held, ModelFolder.Open(folder.At("wide")));
    }

    [Theory]
    [InlineData("llama", BasePrecision.Nf4)]
    [InlineData("qwen3", BasePrecision.Int8)]
    [InlineData("gpt2", BasePrecision.Nf4)]
    [InlineData("gpt2", BasePrecision.Int8)]
    [InlineData("mixtral", BasePrecision.Nf4)]
    [InlineData("bloom", BasePrecision.Int8)]
    public void A_model_in_few_bits_is_the_model_that_it_writes(string family, BasePrecision precision)
    {
        var (held, wide) = Both(family, precision);
        using var first = held;
        using var second = wide;
        Assert.All(held.Projections.Where(map => map.Role != Role.Router), map => Assert.NotNull(map.Weight.Quantized));
        Assert.All(held.Weights.Where(weight => weight.Shape.Count == 1), weight => Assert.Null(weight.Quantized));
        Assert.Null(held.Tokens.Head.Quantized);
        Assert.All(held.Weights.Zip(wide.Weights), pair => Assert.Equal(pair.Second.Shape, pair.First.Shape));
        using var scope = NewDisposeScope();
        using Batch one = held.Lay([Toy.Row(9, 0, half: true), Toy.Row(4, 1, half: true)]),
            two = wide.Lay([Toy.Row(9, 0, half: true), Toy.Row(4, 1, half: true)]);
        Samples.Near(wide.NegativeLogLikelihood(two), held.NegativeLogLikelihood(one), 2e-5, "loss");
        if (held.Reading != Reading.Decoder) return;
        var settings = new SamplingSettings(Temperature: 0, MaxNewTokens: 12);
        Assert.Equal(
            new TokenGenerator(wide, []).Generate([[3, 4, 5], [6]], settings, cancellation: TestContext.Current.CancellationToken),
            new TokenGenerator(held, []).Generate([[3, 4, 5], [6]], settings, cancellation: TestContext.Current.CancellationToken));
    }

    public static TheoryData<string, BasePrecision, string> Deltas
    {
        get
        {
            var rows = new TheoryData<string, BasePrecision, string>();
            foreach (var family in new[] { "llama", "gpt2" })
                foreach (var precision in new[] { BasePrecision.Nf4, BasePrecision.Int8 })
                    foreach (var settings in new[]
                    {
                        """{"peft_type":"LORA","r":3,"lora_alpha":6}""",
                        """{"peft_type":"LORA","r":2,"use_dora":true}""",
                        """{"peft_type":"LORA","r":3,"init_lora_weights":"pissa"}""",
                        """{"peft_type":"IA3","feedforward_modules":[]}""",
                        """{"peft_type":"OFT","oft_block_size":4}""",
                        """{"peft_type":"POLYMATH_BOTTLENECK","bottleneck":6,"activation":"gelu"}""",
                        """{"peft_type":"POLYMATH_SPARSE","elements":30}""",
                    }) rows.Add(family, precision, settings);
            return rows;
        }
    }

    private static DeltaSet Attach(LanguageModel model, string settings)
    {
        var content = JsonNode.Parse(settings)!.AsObject();
        var bottleneck = settings.Contains("BOTTLENECK", StringComparison.Ordinal);
        content["target_modules"] = new JsonArray([.. model.Projections.Where(map => !bottleneck || map.Role is Role.Output or Role.Down)
            .Select(map => JsonValue.Create(map.Name))]);
        var set = DeltaSet.Fresh(model, AdapterConfiguration.Of(content, "test"), 5);
        foreach (var (name, weight) in set.Trained)
        {
            weight.Assign(weight.Value + Samples.Normal(name, [.. weight.Shape]) * 0.1);
            weight.Trainable = true;
        }
        return set;
    }

    [Theory]
    [MemberData(nameof(Deltas))]
    public void A_delta_on_it_has_the_loss_the_gradients_and_the_merged_model_of_32_bits(
        string family, BasePrecision precision, string settings)
    {
        var (held, wide) = Both(family, precision);
        using var first = held;
        using var second = wide;
        var found = new List<(float Loss, Dictionary<string, float[]> Gradients, float[]? Merged)>();
        foreach (var model in new[] { held, wide })
        {
            using var scope = NewDisposeScope();
            foreach (var weight in model.Weights) weight.Trainable = false;
            using var set = Attach(model, settings);
            using var batch = model.Lay(Toy.Rows(9, 4, 13));
            var loss = model.NegativeLogLikelihood(batch);
            Fused.Backpropagate(loss);
            var gradients = set.Trained.ToDictionary(item => item.Name, item => Samples.Floats(item.Weight.Value.grad!));
            if (ReferenceEquals(model, held)) Assert.All(set.Plugged, pair => Assert.NotNull(pair.Target.Weight.Quantized));
            float[]? merged = null;
            if (set.Merges)
            {
                set.Merge();
                using var frozen = no_grad();
                merged = [model.NegativeLogLikelihood(batch).item<float>()];
                Assert.True(Math.Abs(merged[0] - loss.item<float>()) < 2e-3, $"{merged[0]} {loss.item<float>()}");
            }
            found.Add((loss.item<float>(), gradients, merged));
        }
        Assert.Equal(found[1].Loss, found[0].Loss, 1e-3f);
        Assert.NotEmpty(found[0].Gradients);
        Assert.All(found[0].Gradients, pair => Assert.True(Samples.Gap(found[1].Gradients[pair.Key], pair.Value) < 1e-4, pair.Key));
        if (found[0].Merged is { } one) Assert.Equal(found[1].Merged![0], one[0], 1e-3f);
    }

    [Fact]
    public void What_is_in_few_bits_stays_frozen_and_says_so()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        model.Quantize(BasePrecision.Nf4);
        var weight = model.Projections[0].Weight;
        weight.Trainable = false;
        Assert.False(weight.Trainable);
        var fault = Assert.Throws<InputException>(() => weight.Trainable = true).Message;
        Assert.Contains(weight.Name + " is stored in nf4 and cannot be trained", fault, StringComparison.Ordinal);
        Assert.Contains(
            weight.Name + " is stored in nf4", Assert.Throws<InputException>(() => weight.Value).Message, StringComparison.Ordinal);
        Assert.Throws<InputException>(() => TrainedMethod.Attach(model, new FreezeMethod([weight.Name]), 1, "stage"));
    }

    [Theory]
    [InlineData(BasePrecision.Bfloat16, ScalarType.BFloat16)]
    [InlineData(BasePrecision.Float16, ScalarType.Float16)]
    [InlineData(BasePrecision.Float32, ScalarType.Float32)]
    public void A_stage_holds_its_base_as_it_says(BasePrecision precision, ScalarType type)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        using var method = TrainedMethod.Attach(model, new LoraMethod(R: 2, Base: precision), 1, "stage");
        Assert.All(model.Projections, map => Assert.Equal(type, map.Weight.Value.dtype));
        Assert.All(method.Weights, weight => Assert.Equal(ScalarType.Float32, weight.Value.dtype));
    }

    [Fact]
    public void The_base_holds_less_than_an_eighth_in_4_bits_and_a_quarter_in_8()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        var numbers = model.Projections.Sum(map => map.Weight.Count);
        model.Quantize(BasePrecision.Int8);
        Assert.InRange(model.Projections.Sum(map => map.Weight.Bytes), numbers, numbers * 1.2);
        model.Quantize(BasePrecision.Nf4);
        Assert.InRange(model.Projections.Sum(map => map.Weight.Bytes), numbers / 2, numbers * 0.55);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Loftq_starts_nearer_to_the_whole_weights_than_rounding_alone(int turns)
    {
        using LanguageModel whole = ModelFolder.Open(TextFixtures.At("models", "llama")),
            rounded = ModelFolder.Open(TextFixtures.At("models", "llama")),
            started = ModelFolder.Open(TextFixtures.At("models", "llama"));
        rounded.Quantize(BasePrecision.Nf4);
        var spec = new DeltaSpec(DeltaForm.Lora, TargetModules: ["all-linear"], Base: BasePrecision.Nf4,
            Settings: new Dictionary<string, string>
            {
                ["r"] = "4", ["lora_alpha"] = "8", ["init_lora_weights"] = "loftq",
                ["loftq_config"] = $$"""{"loftq_bits":4,"loftq_iter":{{turns}}}""",
            });
        using var scope = NewDisposeScope();
        using var method = TrainedMethod.Attach(started, spec, 3, "stage");
        var basis = new List<float[]>();
        foreach (var (first, i) in whole.Projections.Select((map, i) => (map, i)))
        {
            Tensor weight = first.Matrix(), held = started.Projections[i].Matrix();
            var delta = (Polymath.Tuning.Deltas.Lora)Assert.Single(started.Projections[i].Deltas);
            Assert.NotNull(started.Projections[i].Weight.Quantized);
            var residue = weight - held;
            // The factors take off the four largest directions of what rounding lost in the last turn.
            Assert.True(
                (residue - delta.Change()).norm().item<float>() < 0.95 * (weight - rounded.Projections[i].Matrix()).norm().item<float>(),
                first.Name);
            var (_, singular, _) = linalg.svd(residue);
            Assert.Equal(
                singular.narrow(0, 4, singular.size(0) - 4).norm().item<float>(), (residue - delta.Change()).norm().item<float>(), 1e-3f);
            basis.Add(Samples.Floats(held));
        }
        method.Finish(folder.At("stage"));
        // The file is plain low-rank adaptation of the base that the model's folder holds.
        ModelFolder.Save(started, folder.At("model"));
        using var opened = ModelFolder.Open(folder.At("model"));
        Assert.All(opened.Projections.Zip(basis), pair => Assert.Equal(pair.Second, Samples.Floats(pair.First.Matrix())));
        using var loaded = DeltaSet.Load(opened, folder.At("stage", "adapter"));
        Assert.Equal("true", loaded.Configuration.Raw("init_lora_weights")!.ToString());
        using var frozen = no_grad();
        using Batch one = started.Lay(Toy.Rows(9, 4)), two = opened.Lay(Toy.Rows(9, 4));
        Samples.Near(started.NegativeLogLikelihood(one), opened.NegativeLogLikelihood(two), 2e-5, "loss");
    }

    [Fact]
    public void Loftq_needs_whole_weights_and_says_so()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        var settings = new Dictionary<string, string> { ["init_lora_weights"] = "loftq" };
        Assert.Contains(
            "LoftQ starts from a base in nf4",
            Assert.Throws<InputException>(() => TrainedMethod.Attach(
                model, new DeltaSpec(DeltaForm.Lora, Settings: settings, Base: BasePrecision.Int8), 1, "stage")).Message,
            StringComparison.Ordinal);
        model.Quantize(BasePrecision.Nf4);
        Assert.Contains(
            "LoftQ starts from the full weights",
            Assert.Throws<InputException>(
                () => TrainedMethod.Attach(model, new DeltaSpec(DeltaForm.Lora, Settings: settings), 1, "stage")).Message,
            StringComparison.Ordinal);
    }
}
