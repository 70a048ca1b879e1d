using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>New models of every family from sizes: initial values, a step of training, saving and opening.</summary>
[Trait("kind", "invariant")]
public sealed class FreshFamilyTests
{
    public static TheoryData<string> Names => TinyFamilies.Names;

    public static TheoryData<string> Measured => [.. Statistics.Select(pair => pair.Key)];

    private static JsonObject Statistics =>
        JsonNode.Parse(File.ReadAllText(Path.Combine(TextFixtures.At("own"), "initial-values.json")))!.AsObject();

    [Fact]
    public void Every_family_that_opens_can_be_made_and_recipes_know_its_name()
    {
        Assert.Equal(FreshFamily.Names.Order(StringComparer.Ordinal), FamilySpec.Names.Order(StringComparer.Ordinal));
        Assert.Equal(
            ModelFolder.Families.Order(StringComparer.Ordinal),
            FreshFamily.Names.Append("llama").Append("chatglm").Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_fresh_model_learns_and_is_opened_as_it_was_saved(string family)
    {
        using var folder = new ScratchFolder();
        float[] Scores(LanguageModel model)
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            using var batch = TinyFamilies.Batch(model);
            return Samples.Floats(model.Unembed(model.Hidden(batch)));
        }
        float[] before;
        using (var model = ModelFolder.New(TinyFamilies.Configuration(family), 3))
        {
            foreach (var weight in model.Weights) weight.Trainable = true;
            var losses = Enumerable.Range(0, 6).Select(_ => Step(model)).ToList();
            Assert.True(losses[^1] < losses[0], $"{losses[0]:G5} to {losses[^1]:G5}");
            Assert.InRange(losses[0], 1, 60);
            before = Scores(model);
            ModelFolder.Save(model, folder.Path);
        }
        using var again = ModelFolder.Open(folder.Path);
        Assert.Empty(again.Notes);
        Assert.True(Samples.Gap(before, Scores(again)) < 1e-5);
    }

    // A step against the gradient, as long as it may be: a tenth of each weight's size.
    private static double Step(LanguageModel model)
    {
        using var scope = NewDisposeScope();
        using var batch = TinyFamilies.Batch(model);
        var loss = TinyFamilies.Loss(model, batch);
        Fused.Backpropagate(loss);
        using var frozen = no_grad();
        foreach (var weight in model.Weights)
        {
            if (weight.Value.grad is not { } gradient) continue;
            Assert.True(gradient.isfinite().all().item<bool>(), weight.Name);
            weight.Value.sub_(gradient.sign() * 1e-3f);
            weight.ClearGradient();
        }
        return loss.item<float>();
    }

    [Theory]
    [MemberData(nameof(Measured))]
    public void Initial_values_are_those_of_transformers(string family)
    {
        var peer = Statistics[family]!;
        using var model = ModelFolder.New(peer["config"]!.DeepClone().AsObject(), 5);
        var told = peer["weights"]!.AsObject();
        // transformers 5.12 means to scale these maps as the paper has it, and does not.
        Assert.All(
            model.Weights.Where(weight => family != "gpt2" || !weight.Name.EndsWith("c_proj.weight", StringComparison.Ordinal)),
            weight => Compare(weight, told));
    }

    private static void Compare(Weight weight, JsonObject told)
    {
        if (told[weight.Name] is not { } of) return;
        using var scope = NewDisposeScope();
        var values = weight.Wide();
        double mean = of["mean"]!.GetValue<double>(), spread = of["std"]!.GetValue<double>(), count = weight.Count;
        // Sums of so many numbers differ by chance; five deviations are far beyond that.
        var apart = 7 * spread / Math.Sqrt(count) + 1e-6;
        Assert.InRange(values.mean().item<float>(), mean - apart, mean + apart);
        var own = count > 1 ? values.std(false).item<float>() : 0;
        Assert.InRange(own, spread - apart, spread + apart);
        if (count < 100) return;
        var largest = of["max"]!.GetValue<double>();
        Assert.True(values.abs().max().item<float>() <= largest * 1.6 + 1e-6, $"{weight.Name} reaches {values.abs().max().item<float>()}");
    }

    [Theory]
    [InlineData("gpt2", "KeyValueHeads", "model.keyValueHeads is 2; the family gpt2 has no such setting")]
    [InlineData("qwen3", "Experts", "model.experts is 2; the family qwen3 has no such setting")]
    [InlineData("bert", "HeadWidth", "model.headWidth is 2; the family bert has no such setting")]
    public void A_size_that_a_family_does_not_have_is_refused(string family, string setting, string message)
    {
        var spec = TinyFamilies.Spec(family) with { Experts = null };
        spec = setting switch
        {
            "KeyValueHeads" => spec with { KeyValueHeads = 2 },
            "Experts" => spec with { Experts = 2 },
            _ => spec with { HeadWidth = 2 },
        };
        Assert.Contains(message, Assert.Throws<InputException>(() => FreshFamily.Configure(spec, 61, 0, 1)).Message);
    }

    [Fact]
    public void Settings_of_the_configuration_come_last()
    {
        var spec = TinyFamilies.Spec("gemma3_text") with
        {
            Settings = new Dictionary<string, string>
            {
                ["sliding_window"] = "16", ["layer_types"] = """["full_attention", "sliding_attention"]""",
            },
        };
        var made = FreshFamily.Configure(spec, 61, 0, 1);
        Assert.Equal((16, "full_attention"), ((int)made["sliding_window"]!, (string?)made["layer_types"]![0]));
    }
}
