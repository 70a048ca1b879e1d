using Polymath.Distributed;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Training;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Balance of experts without a loss: the biases that choose them move by the sign of their load's error.</summary>
[Trait("kind", "invariant")]
public sealed class ExpertBalanceTests
{
    [Fact]
    public void A_bias_moves_up_below_the_mean_load_and_down_above_it()
    {
        Assert.Equal([-0.001f, 0f, 0.001f, 0.001f], ExpertBalance.Steps([6, 3, 2, 1], 0.001));
        Assert.Equal([0f, 0f], ExpertBalance.Steps([5, 5], 0.5));
        // A mean that is no whole number.
        Assert.Equal([-0.25f, 0.25f, 0.25f], ExpertBalance.Steps([2, 1, 1], 0.25));
    }

    [Theory]
    [InlineData("deepseek_v3", false)]
    [InlineData("deepseek_v3", true)]
    [InlineData("glm4_moe", false)]
    public void The_loads_are_those_of_all_passes_with_gradients_and_each_counts_once(string family, bool checkpointing)
    {
        using var model = TinyFamilies.Make(family);
        var balance = ExpertBalance.Of(model, Stage(0.01))!;
        model.GradientCheckpointing = checkpointing;
        foreach (var weight in model.Weights) weight.Trainable = true;
        var seen = model.Routers.Biases.Select(bias => new long[bias.Load.Length]).ToList();
        var before = model.Routers.Biases.Select(bias => Values(bias.Weight)).ToList();
        balance.Begin();
        for (var pass = 0; pass < 2; pass++)
        {
            using var scope = NewDisposeScope();
            using var batch = TinyFamilies.Batch(model);
            Fused.Backpropagate(TinyFamilies.Loss(model, batch));
            foreach (var (own, counts) in seen.Zip(model.Routers.Counts.Values))
                for (var expert = 0; expert < own.Length; expert++) own[expert] += counts[expert];
            // What is measured in between does not count.
            using var frozen = no_grad();
            model.NegativeLogLikelihood(batch).Dispose();
        }
        Assert.Equal(seen, model.Routers.Biases.Select(bias => bias.Load));
        balance.Move(new Solo());
        foreach (var ((bias, old), load) in model.Routers.Biases.Zip(before).Zip(seen))
        {
            var mean = load.Sum() / (double)load.Length;
            Assert.Equal(
                old.Zip(load).Select(pair => pair.First + 0.01f * Math.Sign(mean - pair.Second)), Values(bias.Weight));
        }
    }

    [Fact]
    public void A_bias_that_draws_every_token_to_one_expert_gives_way()
    {
        using var model = TinyFamilies.Make("deepseek_v3");
        var balance = ExpertBalance.Of(model, Stage(0.05))!;
        foreach (var weight in model.Weights) weight.Trainable = true;
        foreach (var bias in model.Routers.Biases)
        {
            using var drawn = tensor(new[] { 1f, 0, 0, 0 });
            bias.Weight.Assign(drawn);
        }
        var loads = new List<double>();
        for (var step = 0; step < 40; step++)
        {
            using var scope = NewDisposeScope();
            using var batch = TinyFamilies.Batch(model);
            balance.Begin();
            TinyFamilies.Loss(model, batch).Dispose();
            loads.Add(model.Routers.Biases.Max(bias => bias.Load[0] / (double)bias.Load.Sum()));
            balance.Move(new Solo());
        }
        // Two of four experts are chosen for a token, so one expert has half of the choices at the most.
        Assert.Equal(0.5, loads[0]);
        Assert.True(loads.TakeLast(5).Average() < 0.35, $"{loads[^1]}");
    }

    [Fact]
    public void What_has_no_such_biases_is_told()
    {
        using (var model = TinyFamilies.Make("mixtral"))
            Assert.Contains(
                "a mixtral has none. Leave it out; balance its experts with the loss",
                Assert.Throws<InputException>(() => ExpertBalance.Of(model, Stage(0.01))).Message);
        using (var model = TinyFamilies.Make("mistral"))
        {
            Assert.Contains("it has no experts", Assert.Throws<InputException>(() => ExpertBalance.Of(model, Stage(0.01))).Message);
            Assert.Null(ExpertBalance.Of(model, Stage(null)));
        }
    }

    private static StageSpec Stage(double? rate) =>
        new("learn", new PretrainSpec(), new AdamwSpec(1e-3), ExpertBiasRate: rate);

    private static float[] Values(Weight weight) => weight.Value.detach().data<float>().ToArray();
}
