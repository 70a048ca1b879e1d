using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>Stages that keep their adapters apart name their base model and do not copy it.</summary>
[Trait("kind", "invariant")]
public sealed class AdapterStagesTests : IDisposable
{
    private readonly TinyRecipe recipe = new(Changed);

    public void Dispose() => recipe.Dispose();

    // One stage that trains the whole model, then three with an adapter each.
    private static RecipeBuilder Changed(RecipeBuilder tiny) => new[] { "one", "two", "three" }.Aggregate(
        tiny.Without("stages.write", "stages.tell", "stages.please", "abilities.kinds")
            .With("abilities.form.stage", "one").With("abilities.variety.stage", "one"),
        (recipe, name) => recipe.Stage(name, "finetune", "prompt: 'say {name}'", "answer: '{text}'", "data: lines", "steps: 3",
            "method: {kind: lora, r: 2, merge: false}", "optimizer: {rate: 5e-3}", "batch: {tokens: 256}"));

    private string Stage(string name, params string[] inner) => recipe.At(["run", "stages", name, .. inner]);

    private CliResult Good(params string[] words)
    {
        var result = CliProgram.Run(recipe.Path, words);
        Assert.True(result.Code == 0, result.All);
        return result;
    }

    [Fact]
    public void Three_adapter_stages_share_one_base_that_every_verb_follows()
    {
        Assert.True(recipe.Run("run") is { Code: 0 } run, "the run failed");
        foreach (var stage in new[] { "02-one", "03-two", "04-three" })
        {
            Assert.Empty(Directory.GetFiles(Stage(stage, "model"), "*.safetensors"));
            Assert.Equal("../../01-read/model", JsonNode.Parse(File.ReadAllText(Stage(stage, "model", "base.json")))!["base"]!.ToString());
            Assert.Equal(recipe.Hash(Stage("01-read", "model")), recipe.Hash(Stage(stage, "model")));
            Good("model", "info", Stage(stage, "model"));
        }
        string Said(params string[] more) =>
            Good(["generate", "run", "--prompt", "say am", "--max-new-tokens", "8", "--seed", "3", .. more]).Out;
        var own = Said("--stage", "two");
        Assert.Equal(own, Said("--stage", "read", "--adapter", Stage("03-two", "adapter")));
        Good("eval", "run", "--ability", "reading", "--stage", "three");
        Good("adapter", "merge", Stage("03-two", "model"), "--adapter", Stage("03-two", "adapter"), "--output", "merged", "--gate", "1");
        Good("model", "convert", Stage("04-three", "model"), "--output", "plain");
        Assert.Equal(recipe.Hash(Stage("01-read", "model")), recipe.Hash("plain"));
        Assert.True(File.Exists(recipe.At("plain", "model.safetensors")));
        Assert.False(File.Exists(recipe.At("plain", "base.json")));

        // The run can be moved as a whole.
        Directory.Move(recipe.At("run"), recipe.At("moved"));
        Assert.Equal(own, Good("generate", "moved", "--prompt", "say am", "--max-new-tokens", "8", "--seed", "3", "--stage", "two").Out);

        // A base that has changed, or is missing, is reported.
        var weights = recipe.At("moved", "stages", "01-read", "model", "model.safetensors");
        var content = File.ReadAllBytes(weights);
        content[^5] ^= 0x40;
        File.WriteAllBytes(weights, content);
        var changed = CliProgram.Run(recipe.Path, "generate", "moved", "--stage", "two", "--prompt", "x");
        Assert.Equal(2, changed.Code);
        Assert.Contains("does not hold the weights that the file was written for", changed.Error, StringComparison.Ordinal);
        Directory.Move(recipe.At("moved", "stages", "01-read", "model"), recipe.At("away"));
        var gone = CliProgram.Run(recipe.Path, "generate", "moved", "--stage", "two", "--prompt", "x");
        Assert.Equal(2, gone.Code);
        Assert.Contains("which is missing: was it moved or deleted?", gone.Error, StringComparison.Ordinal);
    }
}
