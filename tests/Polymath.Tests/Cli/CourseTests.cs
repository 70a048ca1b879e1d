using Polymath.Tests.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>
/// Methods that look at data first, or change their weights between steps, stopped and resumed: the end is that of the run that was left
/// alone, bit for bit.
/// </summary>
[Trait("kind", "invariant")]
public sealed class CourseTests
{
    private static RecipeBuilder Changed(RecipeBuilder tiny) => tiny
        .With("stages.write.method", """
            {kind: delta, form: adalora, roles: [attention], merge: true,
             settings: {init_r: '4', target_r: '2', tinit: '1', tfinal: '1'}}
            """)
        .With("stages.tell.method.train", """
            {kind: delta, form: lora, roles: [attention, feedForward], merge: true,
             settings: {r: '2', lora_dropout: '0.2', init_lora_weights: eva, eva_config: '{"rows": 20}'}}
            """)
        .With("stages.please.method", """
            {kind: delta, form: sparse, merge: true, settings: {elements: '20', choose: fisher, fisher_rows: '6'}}
            """);

    [Fact]
    public void A_run_that_was_stopped_goes_on_to_the_same_end_and_looks_once()
    {
        using var recipe = new TinyRecipe(Changed);
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var file in new[] { "03-tell", "04-please" })
            Assert.True(File.Exists(recipe.At("whole", "stages", file, "prepared", "adapter_model.safetensors")));
        Assert.False(Directory.Exists(recipe.At("whole", "stages", "02-write", "prepared")));
        Assert.Contains("rank_pattern", File.ReadAllText(recipe.At("whole", "stages", "02-write", "adapter", "adapter_config.json")));
        foreach (var step in new[] { 11, 13, 17, 24 })
        {
            var name = $"stopped-{step}";
            Assert.Equal(0, recipe.Run(name, "--stop-after-step", $"{step}").Code);
            var resumed = recipe.Run(name);
            Assert.Equal(0, resumed.Code);
            Assert.Equal(recipe.Hash("whole"), recipe.Hash(name));
            // Data that was read before the stop is not read again.
            Assert.Equal(step < 14, resumed.All.Contains("tell: prompt + lora reads the data", StringComparison.Ordinal));
            Assert.Equal(RunFigures.Of(recipe.At("whole", "metrics.jsonl")), RunFigures.Of(recipe.At(name, "metrics.jsonl")));
        }
    }
}
