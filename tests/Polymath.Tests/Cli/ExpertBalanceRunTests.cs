using Polymath.Tensors.Files;

namespace Polymath.Tests.Cli;

/// <summary>A stage whose experts are balanced without a loss: its biases are saved, and a stopped run ends as the whole one.</summary>
[Trait("kind", "invariant")]
public sealed class ExpertBalanceRunTests
{
    [Fact]
    public void A_run_that_moves_the_biases_of_experts_goes_on_bit_for_bit_and_saves_them()
    {
        using var recipe = new TinyRecipe(tiny => tiny
            .With("model", "{family: glm4_moe, hiddenSize: 32, intermediateSize: 24, layers: 2, heads: 2, headWidth: 16, experts: 4, "
                + "contextLength: 48, settings: {first_k_dense_replace: 1}}")
            .With("stages.read.expertBiasRate", "0.01")
            .With("stages.write.expertBiasRate", "0.002"));
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var step in new[] { 5, 11 })
        {
            Assert.Equal(0, recipe.Run($"stopped-{step}", "--stop-after-step", $"{step}").Code);
            Assert.Equal(0, recipe.Run($"stopped-{step}").Code);
            Assert.Equal(recipe.Hash("whole"), recipe.Hash($"stopped-{step}"));
        }
        // Eight steps of a hundredth: at most that far, in whole steps, and not all alike.
        var moved = Bias(recipe.At("whole", "stages", "01-read", "model", "model.safetensors"));
        Assert.All(moved, value => Assert.InRange(Math.Abs(value), 0, 0.0801f));
        Assert.All(moved, value => Assert.Equal(Math.Round(value * 100), value * 100, 1e-3));
        Assert.True(moved.Distinct().Count() > 1);
        var later = Bias(recipe.At("whole", "stages", "02-write", "model", "model.safetensors"));
        Assert.Contains(moved.Zip(later), pair => pair.First != pair.Second);
        Assert.All(moved.Zip(later), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 0.0121f));
        // A stage that does not ask for it leaves them.
        Assert.Equal(later, Bias(recipe.At("whole", "stages", "03-tell", "model", "model.safetensors")));
    }

    private static float[] Bias(string file)
    {
        using var weights = SafetensorsFile.Open(file);
        using var bias = weights.Map("model.layers.1.mlp.gate.e_score_correction_bias");
        return bias.data<float>().ToArray();
    }
}
