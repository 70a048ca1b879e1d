using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Optimizers;

/// <summary>What each optimizer remembers: that it learns, goes on bit for bit, and how much memory it takes.</summary>
[Trait("kind", "invariant")]
public sealed class OptimizerStateTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    public static TheoryData<string> Kinds => [.. OptimizerCases.Kinds.Keys];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Thirty_steps_lower_the_loss_and_move_every_weight(string kind)
    {
        using var training = new ToyTraining(new FullMethod(), optimizer: OptimizerCases.Kinds[kind]);
        var before = Toy.Values(training.Model.Weights);
        var reports = training.Train(1, 30);
        Assert.True(reports[^1].Loss < 0.8 * reports[0].Loss, $"{reports[0].Loss} to {reports[^1].Loss}");
        foreach (var (name, values) in Toy.Values(training.Model.Weights)) Assert.NotEqual(before[name], values);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_stopped_training_goes_on_bit_for_bit(string kind)
    {
        var spec = OptimizerCases.Kinds[kind];
        List<Weight> Fresh() => [.. OptimizerCases.Shapes.Keys.Select(OptimizerCases.Start)];
        List<Weight> whole = Fresh(), second = Fresh();
        using var uninterrupted = new OptimizerSet(whole, spec);
        using var resumed = new OptimizerSet(second, spec);
        var saves = new Checkpoint(folder.At("checkpoints"), new CheckpointSettings());
        Take(uninterrupted, 1, 5);
        saves.Save(uninterrupted, new CheckpointState(
            5,
            [],
            "",
            0,
            0,
            0,
            []));
        Take(uninterrupted, 6, 10);
        saves.Restore(5, resumed);
        Take(resumed, 6, 10);
        Assert.Equal(10, resumed.StepsOf(0));
        foreach (var (one, other) in whole.Zip(second)) Assert.Equal(Samples.Floats(one.Value), Samples.Floats(other.Value));
        var state = resumed.State();
        foreach (var (name, value) in uninterrupted.State()) Assert.True(value.eq(state[name]).all().item<bool>(), name);
        whole.Concat(second).ToList().ForEach(weight => weight.Value.Dispose());
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void An_adapter_s_state_is_taken_up_and_another_optimizer_s_is_refused(string kind)
    {
        List<Weight> weights = [.. OptimizerCases.Shapes.Keys.Select(OptimizerCases.Start)];
        using var optimizer = new OptimizerSet(weights, OptimizerCases.Kinds[kind]);
        Take(optimizer, 1, 3);
        optimizer.Save(Directory.CreateDirectory(folder.At("adapter")).FullName, 0);
        using var again = new OptimizerSet(weights, OptimizerCases.Kinds[kind]);
        again.Load(folder.At("adapter"), 0);
        Assert.Equal(3, again.StepsOf(0));
        var state = again.State();
        foreach (var (name, value) in optimizer.State()) Assert.True(value.eq(state[name]).all().item<bool>(), name);
        using var other = new OptimizerSet(weights, kind == "lion" ? new MuonSpec(1) : new LionSpec(1));
        var fault = Assert.Throws<InputException>(() => other.Load(folder.At("adapter"), 0));
        Assert.Contains("another optimizer's", fault.Message, StringComparison.Ordinal);
        weights.ForEach(weight => weight.Value.Dispose());
    }

    [Theory]
    [InlineData("adamw", 8.0)]
    [InlineData("adamw8bit", 2.0 + 8.0 / 256)]
    [InlineData("adafactor", 4.0)]
    [InlineData("adafactorRelative", 0.0)]
    [InlineData("lion", 4.0)]
    [InlineData("muon", 4.0)]
    [InlineData("sgd", 4.0)]
    public void The_memory_of_a_large_matrix_is_what_the_page_says(string kind, double bytesAnElement)
    {
        const int Side = 512;
        var weight = new Weight("matrix", zeros(Side, Side));
        using var optimizer = new OptimizerSet([weight], OptimizerCases.Kinds[kind]);
        // The number of steps, and Adafactor's rows and columns.
        Assert.InRange(optimizer.StateBytes, bytesAnElement * Side * Side, bytesAnElement * Side * Side + 8 * Side + 8);
        weight.Value.Dispose();
    }

    [Fact]
    public void Norms_and_biases_are_not_decayed_by_any_kind()
    {
        using var scope = NewDisposeScope();
        foreach (var spec in new OptimizerSpec[]
        {
            new Adamw8bitSpec(new AdamwSpec(0.1, WeightDecay: 0.5)),
            new AdafactorSpec(0.1, WeightDecay: 0.5),
            new LionSpec(0.1, WeightDecay: 0.5),
            new MuonSpec(0.1, WeightDecay: 0.5, AdamwWeightDecay: 0.5),
            new SgdSpec(0.1, WeightDecay: 0.5),
        })
        {
            var weights = new[] { new Weight("matrix", ones(3, 3)), new Weight("norm", ones(3)) };
            using var optimizer = new OptimizerSet(weights, spec);
            foreach (var weight in weights)
            {
                weight.Trainable = true;
                weight.Value.grad = zeros_like(weight.Value);
            }
            optimizer.Step(0.1, 1);
            Assert.Equal([0.95f, 1f], weights.Select(weight => weight.Value.max().item<float>()));
        }
    }

    [Fact]
    public void Muon_takes_the_maps_within_blocks_and_nothing_else()
    {
        using var model = Toy.Model(tied: false);
        var hidden = HiddenMatrices.Of(model);
        var (taken, left) = (model.Weights.Where(hidden).Select(weight => weight.Name), model.Weights.Where(weight => !hidden(weight)));
        Assert.Equal(14, taken.Count());
        Assert.All(taken, name => Assert.EndsWith("_proj.weight", name));
        Assert.Contains("lm_head.weight", left.Select(weight => weight.Name));
        Assert.Contains("model.embed_tokens.weight", left.Select(weight => weight.Name));
    }

    [Theory]
    [InlineData("gpt2", "c_attn, c_fc, c_proj")]
    [InlineData("llama", "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj")]
    [InlineData("bert-mlm", "dense, key, query, value")]
    [InlineData("t5", "k, o, q, v, wi, wo")]
    public void In_every_family_the_maps_of_blocks_are_taken_and_tables_and_heads_are_not(string family, string maps)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        var hidden = HiddenMatrices.Of(model);
        var taken = model.Weights.Where(hidden).Select(weight => weight.Name).ToList();
        Assert.Equal(maps.Split(", "), taken.Select(name => name.Split('.')[^2]).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(model.Projections.Where(map => map.Role != Role.Head).Select(map => map.Weight.Name).Order(), taken.Order());
        Assert.All(
            taken, name => Assert.DoesNotMatch("embed|wte|wpe|shared|lm_head|cls|pooler|classifier|relative_attention_bias", name));
    }

    [Theory]
    [InlineData("gpt2", "[attention]", "lora", 6)]
    [InlineData("llama", "[query, embedding, head]", "lora", 3)]
    [InlineData("llama", "[query]", "ia3", 0)]
    [InlineData("bert-mlm", "[query, value]", "lora", 6)]
    [InlineData("t5", "[feedForward]", "lora", 8)]
    public void Of_a_delta_the_matrices_of_a_map_are_taken_and_those_of_tables_and_heads_are_not(
        string family,
        string roles,
        string form,
        int pairs)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", family));
        var sockets = roles.Trim('[', ']').Split(", ").Select(role => Enum.Parse<Socket>(role, ignoreCase: true));
        using var set = DeltaSet.Fresh(model, new DeltaSpec(Enum.Parse<DeltaForm>(form, ignoreCase: true), [.. sockets]), 1);
        var taken = set.Weights.Where(HiddenMatrices.Of(model)).ToList();
        Assert.Equal(2 * pairs, taken.Count);
        Assert.Equal(
            set.Plugged.Where(pair => pair.Target.Role != Role.Head).SelectMany(pair => pair.Delta.Weights)
                .Where(HiddenMatrices.IsMatrix).ToHashSet(),
            taken.ToHashSet());
    }

    [Theory]
    [InlineData(DeltaForm.PromptTuning, "")]
    [InlineData(DeltaForm.PTuning, "mlp_head.0.weight, mlp_head.2.weight, mlp_head.4.weight")]
    public void Of_a_prompt_the_encoder_s_maps_are_taken_and_its_vectors_are_not(DeltaForm form, string maps)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "llama"));
        using var set = DeltaSet.Fresh(model, new DeltaSpec(form), 1);
        var taken = set.Weights.Where(HiddenMatrices.Of(model)).Select(weight => weight.Name);
        Assert.Equal(maps, string.Join(", ", taken));
    }

    [Fact]
    public void Adapters_of_one_stage_may_move_by_different_optimizers()
    {
        using var scope = NewDisposeScope();
        var weights = new[] { OptimizerCases.Start("wide"), OptimizerCases.Start("tall") };
        using var optimizer = new OptimizerSet([
            new WeightGroup("a", [weights[0]], new LionSpec(0.1)), new WeightGroup("b", [weights[1]], new SgdSpec(0.1))]);
        Take(optimizer, 1, 2);
        Assert.Equal(["average.a/wide", "steps.a", "steps.b"], optimizer.State().Keys.Order(StringComparer.Ordinal));
    }

    private static void Take(OptimizerSet optimizer, int from, int to)
    {
        for (var step = from; step <= to; step++)
        {
            foreach (var weight in optimizer.Weights) weight.Value.grad = OptimizerCases.Gradient(weight.Name, step);
            for (var group = 0; group < optimizer.Groups.Count; group++)
                optimizer.Step(optimizer.Groups[group].Spec.Rate, 1, group);
        }
    }
}
