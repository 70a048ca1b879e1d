using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>AdaLoRA's pruning of ranks, compared with twelve steps of PEFT's (tests/peers/make_methods.py).</summary>
[Trait("kind", "parity")]
public sealed class AdaLoraTests : IDisposable
{
    private const int Steps = 12;

    private readonly ScratchFolder folder = new();
    private readonly LanguageModel model = ModelFolder.Open(TextFixtures.At("models", "llama"));
    private readonly SafetensorsFile reference = SafetensorsFile.Open(TextFixtures.At("own", "adalora", "steps.safetensors"));

    public void Dispose()
    {
        reference.Dispose();
        model.Dispose();
        folder.Dispose();
    }

    private static AdapterConfiguration Settings(string more = "") => AdapterConfiguration.Of(
        JsonNode.Parse(
            $$"""
            {
              "peft_type":"ADALORA","init_r":4,"target_r":2,"tinit":2,"tfinal":3,"deltaT":2,"lora_alpha":8,
              "target_modules":["q_proj","v_proj"]{{more}}
            }
            """)!
            .AsObject(),
        "the test");

    private DeltaSet Started()
    {
        foreach (var weight in model.Weights) weight.Trainable = false;
        var set = DeltaSet.Fresh(model, Settings(), 1);
        foreach (var (name, weight) in set.Trained)
        {
            using var start = reference.Map(name);
            weight.Assign(start);
            weight.Trainable = true;
        }
        set.Course!.Begin(Steps);
        return set;
    }

    private static List<TokenRow> Rows(int step) => [.. new[] { 5, 21 }.Select(
        first => new TokenRow([.. Enumerable.Range(0, 8).Select(i => (first + i + 3 * step) % 199)], [0, 1, 1, 1, 1, 1, 1, 1], ""))];

    private double Step(DeltaSet set, int step)
    {
        using var scope = NewDisposeScope();
        using var batch = model.Lay(Rows(step));
        var loss = model.NegativeLogLikelihood(batch) / batch.TargetCount + set.Penalty()!.sum();
        Fused.Backpropagate(loss);
        using var frozen = no_grad();
        var gradients = set.Weights.ToDictionary(weight => weight, weight => weight.Value.grad!.clone());
        foreach (var (weight, gradient) in gradients)
        {
            weight.Value.sub_(gradient * 0.05);
            weight.ClearGradient();
        }
        set.Course!.Stepped(step, gradients);
        return loss.item<float>();
    }

    private float[] Logits()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = Batch.Of(Rows(0));
        return Samples.Floats(model.Unembed(model.Hidden(batch)));
    }

    [Fact]
    public void Twelve_steps_give_away_the_ranks_that_PEFT_gives_away()
    {
        using var set = Started();
        using Tensor losses = reference.Map("losses"), values = reference.Map("e");
        for (var step = 1; step <= Steps; step++)
        {
            Assert.Equal(losses[step - 1].item<float>(), Step(set, step), 1e-4);
            using var scope = NewDisposeScope();
            // By the modules' names, which is the order of the model.
            float[] mine = [.. set.Trained.Where(item => item.Name.EndsWith("lora_E", StringComparison.Ordinal))
                .SelectMany(item => Samples.Floats(item.Weight.Value))],
                theirs = Samples.Floats(values[step - 1]);
            Assert.True(Samples.Gap(theirs, mine) < 2e-5, $"step {step}: {Samples.Gap(theirs, mine)}");
            Assert.Equal(theirs.Select(x => x == 0), mine.Select(x => x == 0));
        }
        using (var after = reference.Map("after")) Assert.True(Samples.Gap(Samples.Floats(after), Logits()) < 1e-4);
        set.Save(folder.Path);
        using SafetensorsFile ours = SafetensorsFile.Open(folder.At("adapter_model.safetensors")),
            peft = SafetensorsFile.Open(TextFixtures.At("own", "adalora", "adapter_model.safetensors"));
        Assert.Equal(peft.Entries.Keys.Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        foreach (var name in peft.Entries.Keys)
        {
            using Tensor one = ours.Map(name), other = peft.Map(name);
            Assert.Equal(other.shape, one.shape);
            Assert.True(one.numel() == 0 || Samples.Gap(Samples.Floats(other), Samples.Floats(one)) < 5e-5, name);
        }
        JsonNode Pattern(string file) => JsonNode.Parse(File.ReadAllText(file))!["rank_pattern"]!;
        Assert.True(JsonNode.DeepEquals(
            Pattern(TextFixtures.At("own", "adalora", "adapter_config.json")), Pattern(folder.At("adapter_config.json"))));
    }

    [Fact]
    public void A_cut_file_answers_as_it_did_before_and_keeps_the_scale_of_the_ranks_it_started_with()
    {
        using (var after = reference.Map("after"))
        using (var set = DeltaSet.Load(model, TextFixtures.At("own", "adalora")))
        {
            Assert.True(Samples.Gap(Samples.Floats(after), Logits()) < 1e-4);
            set.Save(folder.Path);
        }
        Assert.Equal(WeightDigest.Of([TextFixtures.At("own", "adalora", "adapter_model.safetensors")]), WeightDigest.Of(
            [folder.At("adapter_model.safetensors")]));
    }

    [Fact]
    public void What_was_saved_on_the_way_goes_on_to_the_same_ranks()
    {
        var saves = new Checkpoint(folder.At("checkpoints"), new CheckpointSettings());
        var state = new CheckpointState(
            7,
            [],
            "",
            0,
            0,
            0,
            []);
        List<float[]> whole;
        using (var set = Started())
        {
            using var optimizer = new OptimizerSet(set.Weights, new AdamwSpec(0.1));
            for (var step = 1; step <= 7; step++) Step(set, step);
            saves.Save(optimizer, state, set.Course!.Memory);
            for (var step = 8; step <= Steps; step++) Step(set, step);
            whole = [.. set.Weights.Select(weight => Samples.Floats(weight.Value))];
        }
        using var again = Started();
        using var other = new OptimizerSet(again.Weights, new AdamwSpec(0.1));
        saves.Restore(7, other, again.Course!.Memory);
        for (var step = 8; step <= Steps; step++) Step(again, step);
        // The rounding of a product may depend on its place in memory, but a rank either exists or not.
        foreach (var (expected, weight) in whole.Zip(again.Weights))
        {
            Assert.True(Samples.Gap(expected, Samples.Floats(weight.Value)) < 1e-5, weight.Name);
            Assert.Equal(expected.Select(x => x == 0), Samples.Floats(weight.Value).Select(x => x == 0));
        }
    }

    [Theory]
    [InlineData(5, "of 5 steps (total_step), tinit 2 and tfinal 3 leave none for pruning ranks")]
    public void A_training_too_short_for_its_schedule_is_refused(int steps, string message)
    {
        using var set = DeltaSet.Fresh(model, Settings(), 1);
        Assert.Contains(message, Assert.Throws<InputException>(() => set.Course!.Begin(steps)).Message);
        Assert.Contains(
            "between 0 and 1",
            Assert.Throws<InputException>(() => DeltaSet.Fresh(model, Settings(""","beta1":1"""), 1).Dispose()).Message);
    }
}
