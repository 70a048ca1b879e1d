namespace Polymath.Tests.Cli;

/// <summary>Dropout applies only to gradients: answers are sampled, and reference policies scored, without dropout.</summary>
[Trait("kind", "invariant")]
public sealed class AlignDropoutTests
{
    // An adapter that is not the identity at its start, and hardly changes: if dropout were on, only dropout could change its samples.
    private static string Changed(string text, string dropout)
    {
        var read = text.IndexOf("  - name: write", StringComparison.Ordinal);
        var please = text.IndexOf("  - name: please", StringComparison.Ordinal);
        var head = text[..read].Replace("  kinds: {kind: accuracy, stage: tell, rows: 20}\n", "", StringComparison.Ordinal);
        head = head.Replace("stage: write", "stage: please", StringComparison.Ordinal);
        return head + text[please..].Replace(
            "    optimizer: {rate: 1e-3}",
            $"    method: {{kind: delta, form: lora, settings: {{init_lora_weights: 'false', lora_dropout: '{dropout}'}}}}\n    optimizer:"
                + $" {{rate: 1e-12}}",
            StringComparison.Ordinal);
    }

    [Fact]
    public void Rollouts_and_their_reference_do_not_depend_on_dropout()
    {
        var rounds = new[] { "0", "0.5" }.Select(dropout =>
        {
            using var recipe = new TinyRecipe(text => Changed(text, dropout));
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
