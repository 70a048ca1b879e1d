using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training.Stages;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>The base model of an adapter, and its use on another model.</summary>
[Trait("kind", "invariant")]
public sealed class AdapterBaseTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static LanguageModel Open(string family = "llama") => ModelFolder.Open(TextFixtures.At("models", family));

    private string Adapter(LanguageModel model, MethodSpec? method = null)
    {
        using var made = TrainedMethod.Attach(model, method ?? new LoraMethod(R: 2, Merge: false), 1, "stage");
        made.Finish(folder.At("stage"));
        using (made.Aside()) ModelFolder.Save(model, folder.At("stage", "model"));
        return folder.At("stage", "adapter");
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2")]
    [InlineData("mixtral")]
    public void A_models_signature_is_that_of_its_copies_in_16_bits_and_of_no_other(string family)
    {
        using var model = Open(family);
        var own = ModelSignature.Of(model);
        foreach (var type in new[] { ScalarType.BFloat16, ScalarType.Float16, ScalarType.Float32 })
        {
            ModelWriter.Write(model, folder.At($"{type}"), type, 1 << 16);
            using var copy = ModelFolder.Open(folder.At($"{type}"));
            Assert.True(own.Fits(ModelSignature.Of(copy)), $"{type}");
            Assert.Equal(own.Shapes, ModelSignature.Of(copy).Shapes);
        }
        Assert.Equal(own, ModelSignature.Parse(own.ToString()));
        Assert.Null(ModelSignature.Parse(own.ToString()[1..]));
        using (no_grad()) model.Projections[^1].Weight.Value.mul_(1.01);
        Assert.False(own.Fits(ModelSignature.Of(model)));
        Assert.Equal(own.Shapes, ModelSignature.Of(model).Shapes);
    }

    [Theory]
    [InlineData("llama", BasePrecision.Nf4)]
    [InlineData("gpt2", BasePrecision.Nf4)]
    [InlineData("qwen3", BasePrecision.Int8)]
    public void A_rounded_model_has_the_signature_of_the_model_that_it_writes_and_knows_the_one_it_was(
        string family, BasePrecision precision)
    {
        using var model = Open(family);
        var whole = ModelSignature.Of(model);
        model.Quantize(precision);
        ModelFolder.Save(model, folder.At("written"));
        using var written = ModelFolder.Open(folder.At("written"));
        Assert.Equal(ModelSignature.Of(written), ModelSignature.Of(model));
        Assert.Equal(whole, model.Unrounded);
        Assert.NotEqual(whole, ModelSignature.Of(model));
    }

    [Fact]
    public void An_adapter_goes_on_its_own_base_in_any_type_and_on_no_other_unless_it_is_said()
    {
        string adapter;
        using (var model = Open()) adapter = Adapter(model);
        using (var copy = Open())
        {
            copy.Quantize(BasePrecision.Bfloat16);
            DeltaSet.Load(copy, adapter).Dispose();
            copy.Quantize(BasePrecision.Nf4);
            DeltaSet.Load(copy, adapter).Dispose();
        }
        using var other = Open();
        other.Weights[^1].Assign(other.Weights[^1].Value * 1.5);
        var message = Assert.Throws<InputException>(() => DeltaSet.Load(other, adapter).Dispose()).Message;
        Assert.Contains("was made for another model: it expects ", message, StringComparison.Ordinal);
        Assert.Contains("the same shapes but other values", message, StringComparison.Ordinal);
        Assert.Contains("--any-base", message, StringComparison.Ordinal);
        Assert.All(other.Projections, map => Assert.Empty(map.Deltas));
        DeltaSet.Load(other, adapter, anyBase: true).Dispose();
    }

    [Theory]
    [InlineData(null)]
    [InlineData(BasePrecision.Nf4)]
    [InlineData(BasePrecision.Int8)]
    public void What_a_stage_leaves_fits_together_and_goes_on_the_first_base_too(BasePrecision? precision)
    {
        foreach (var method in new MethodSpec[]
        {
            new LoraMethod(R: 2, Merge: false, Base: precision),
            new DeltaSpec(DeltaForm.NormTuning, Base: precision),
            new DeltaSpec(DeltaForm.Lora, Settings: new Dictionary<string, string> { ["modules_to_save"] = "[\"norm\"]" }, Base: precision),
        })
        {
            string adapter;
            using (var model = Open()) adapter = Adapter(model, method);
            using LanguageModel left = ModelFolder.Open(folder.At("stage", "model")), first = Open();
            DeltaSet.Load(left, adapter).Dispose();
            DeltaSet.Load(first, adapter).Dispose();
        }
    }

    [Fact]
    public void A_stage_that_keeps_its_norms_apart_leaves_the_norms_that_it_found()
    {
        using var model = Open();
        var before = model.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Wide()));
        using var method = TrainedMethod.Attach(model, new DeltaSpec(DeltaForm.NormTuning), 1, "stage");
        foreach (var weight in method.Weights) weight.Assign(weight.Value + 0.5);
        method.Finish(folder.At("stage"));
        using (method.Aside()) ModelFolder.Save(model, folder.At("model"));
        using var left = ModelFolder.Open(folder.At("model"));
        Assert.All(left.Weights, weight => Assert.Equal(before[weight.Name], Samples.Floats(weight.Wide())));
        // Other adapters on the model do not make it another model.
        Assert.Equal(ModelSignature.Of(left), ModelSignature.Of(model));
    }

    [Fact]
    public void The_configuration_has_no_key_that_PEFT_does_not_know_and_the_base_stands_in_the_file_of_weights()
    {
        using var model = Open();
        var adapter = Adapter(model);
        Assert.DoesNotContain(
            "polymath", File.ReadAllText(Path.Combine(adapter, "adapter_config.json")), StringComparison.OrdinalIgnoreCase);
        using (var file = SafetensorsFile.Open(Path.Combine(adapter, "adapter_model.safetensors")))
        {
            Assert.Equal("pt", file.Metadata["format"]);
            Assert.Equal(ModelSignature.Of(model).ToString(), file.Metadata[AdapterBase.Key]);
        }
        Assert.Null(AdapterBase.Read(TextFixtures.At("adapters", "lora")));
    }
}
