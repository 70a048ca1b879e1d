using Polymath.Tests.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>Dropout applies only to gradients: answers are sampled, and reference policies scored, without dropout.</summary>
[Trait("kind", "invariant")]
public sealed class AlignDropoutTests
{
    // An adapter that is not the identity at its start, and hardly changes: if dropout were on, only dropout could change its samples.
    private static RecipeBuilder Changed(RecipeBuilder tiny, string dropout) => tiny
        .Without("stages.write", "stages.tell", "abilities.kinds")
        .With("abilities.form.stage", "please").With("abilities.variety.stage", "please")
        .With("stages.please.optimizer.rate", "1e-12")
        .With("stages.please.method", "{kind: delta, form: lora, settings: {init_lora_weights: 'false'}}")
        .With("stages.please.method.settings.lora_dropout", $"'{dropout}'");

    [Fact]
    public void Rollouts_and_their_reference_do_not_depend_on_dropout()
    {
        var rounds = new[] { "0", "0.5" }.Select(dropout =>
        {
            using var recipe = new TinyRecipe(tiny => Changed(tiny, dropout));
            var run = recipe.Run("run");
            Assert.True(run.Code == 0, run.All);
            return Directory.GetFiles(recipe.At("run", "stages", "02-please", "rollouts"), "round-*.jsonl").Order(StringComparer.Ordinal)
                .Select(File.ReadAllText).ToList();
        }).ToList();
        Assert.Equal(2, rounds[0].Count);
        Assert.Equal(rounds[0][0], rounds[1][0]);
        // In the second round the adapter has changed very little.
        Assert.Equal(rounds[0][1].Count(letter => letter == '\n'), rounds[1][1].Count(letter => letter == '\n'));
    }
}
