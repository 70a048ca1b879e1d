using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>A recipe makes a new model of another family than Llama and trains it through every stage.</summary>
[Trait("kind", "invariant")]
public sealed class NewFamilyRunTests
{
    [Fact]
    public void A_new_mixture_of_experts_is_trained_and_its_experts_are_told()
    {
        using var recipe = new TinyRecipe(tiny => tiny.With("model", """
            {family: qwen3_moe, hiddenSize: 32, intermediateSize: 24, layers: 2, heads: 2, keyValueHeads: 1, headWidth: 16, experts: 4,
             contextLength: 48, settings: {output_router_logits: true, router_aux_loss_coef: 0.01}}
            """));
        var run = recipe.Run("whole");
        Assert.True(run.Code == 0, run.All);
        var metrics = File.ReadAllText(recipe.At("whole", "metrics.jsonl"));
        Assert.Contains("busiest expert", metrics);
        Assert.Contains("idle experts", metrics);
        var model = Directory.GetFiles(recipe.At("whole"), "config.json", SearchOption.AllDirectories)[0];
        var content = JsonNode.Parse(File.ReadAllText(model))!;
        Assert.Equal(("qwen3_moe", 4, 24), (
            (string?)content["model_type"],
            (int)content["num_experts"]!,
            (int)content["moe_intermediate_size"]!));
    }
}
