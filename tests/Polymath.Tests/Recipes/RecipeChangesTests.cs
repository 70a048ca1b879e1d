using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>The small block and overrides.</summary>
[Trait("kind", "unit")]
public sealed class RecipeChangesTests
{
    private static readonly RecipeBuilder small = SampleRecipes.Sample.With("small", """
        model: {layers: 1}
        data: {poems: {files: npm:poems@2.0.1/json/0.json}}
        stages:
          read: {steps: 6, batch: {microTokens: 128}}
          tell: {method: {train: {r: 2}}}
        """);

    [Fact]
    public void The_small_block_is_laid_over_the_recipe_only_when_asked_for()
    {
        Assert.Equal(SampleRecipes.Read(SampleRecipes.Whole).Resolved, SampleRecipes.Read(small.Text).Resolved);
        var recipe = SampleRecipes.Read(small.Text, small: true).OrThrow();
        Assert.Equal((1, 48), (((LlamaSpec)recipe.Model).Layers, ((LlamaSpec)recipe.Model).HiddenSize));
        Assert.Equal(["npm:poems@2.0.1/json/0.json"], ((FilesSpec)recipe.Data["poems"]).Files);
        Assert.Equal((6, new BatchSpec(512, 128, 64)), (recipe.Stages[0].Steps, recipe.Stages[0].Batch));
        Assert.Equal(new LoraMethod(2), ((PromptMethod)recipe.Stages[2].Method!).Train);
        Assert.Equal(4, recipe.Stages.Count);
    }

    [Theory]
    [InlineData("small.model", "{layer: 1}", "model.layer", "unknown key 'layer'", "layer: 1")]
    [InlineData("small.model", "{layers: 0}", "model.layers", "0 is less than 1", "0}")]
    [InlineData("small.modle", "{layers: 1}", "modle", "unknown key 'modle'", "modle")]
    [InlineData("small.model", "{hiddenSize: 50}", "model.heads", "with the small block, 4 heads do not divide", "heads: 4")]
    [InlineData("small.stages.red", "{steps: 6}", "small.stages.red", "nothing here is named 'red'", "red: {")]
    [InlineData("small.stages.read", "6", "small.stages.read", "stands where a mapping", "read: 6\n")]
    [InlineData("small.stages.read.steps", "x", "stages.read.steps", "not a whole number", "x, batch")]
    public void Faults_of_the_small_block_are_told_in_any_case(
        string changed,
        string value,
        string path,
        string problem,
        string piece)
    {
        var text = small.With(changed, value).Text;
        foreach (var asked in new[] { false, true })
        {
            var fault = Assert.Single(SampleRecipes.Read(text, asked).Faults);
            Assert.Equal(path, fault.Path);
            Assert.Contains(
                asked ? problem.Replace("with the small block, ", "", StringComparison.Ordinal) : problem,
                fault.Problem,
                StringComparison.Ordinal);
            var expected = text.LastIndexOf(piece, StringComparison.Ordinal);
            Assert.Equal(text[..expected].Count(character => character == '\n') + 1, fault.Line);
        }
    }

    [Fact]
    public void A_fault_of_the_recipe_is_told_once_although_the_small_block_is_checked_too()
    {
        Assert.Single(SampleRecipes.Read(small.With("stages.read.optimizer.rate", "three").Text).Faults);
        Assert.Single(SampleRecipes.Read(small.With("model.layer", "3").Text).Faults, fault => fault.Path == "model.layer");
        Assert.Equal("small", Assert.Single(SampleRecipes.Read(small.With("small", "[1]").Text).Faults).Path);
        Assert.Empty(SampleRecipes.Read(small.With("small", "").Text, small: true).Faults);
    }

    [Fact]
    public void Overrides_set_single_settings_by_index_or_name_over_the_small_block()
    {
        var recipe = SampleRecipes.Read(small.Text, true,
            "model.layers=3", "stages.1.optimizer.rate=3e-4", "stages.tell.optimizer.clip=0", "stages.read.evaluate.abilities=[reading]",
            "rewards.tones.positions.1=6", "description=a = b", "stages.write.method={kind: full}", "stages.read.steps=",
            "stages.read.epochs=2", "rounds=1").OrThrow();
        Assert.Equal(3, ((LlamaSpec)recipe.Model).Layers);
        Assert.Equal(3e-4, recipe.Stages[1].Optimizer.Rate);
        Assert.Equal(0, recipe.Stages[2].Optimizer.Clip);
        Assert.Equal(["reading"], recipe.Stages[0].Evaluate!.Abilities);
        Assert.Equal([2, 6], ((CharacterClassRewardSpec)recipe.Rewards!["tones"]).Positions);
        Assert.Equal("a = b", recipe.Description);
        Assert.IsType<FullMethod>(recipe.Stages[1].Method);
        Assert.Equal((null, 2.0), (recipe.Stages[0].Steps, recipe.Stages[0].Epochs));
    }

    [Theory]
    [InlineData("model.layers", "", "not PATH=VALUE")]
    [InlineData("=3", "", "not PATH=VALUE")]
    [InlineData("model..layers=3", "", "not PATH=VALUE")]
    [InlineData("model.layer=3", "model.layer", "unknown key 'layer'")]
    [InlineData("model.layers=0", "model.layers", "less than 1")]
    [InlineData("model.layers.deep=1", "model.layers.deep", "has no settings inside")]
    [InlineData("stages.9.steps=1", "stages.9", "no item '9'")]
    [InlineData("stages.rad.steps=1", "stages.rad", "no item 'rad'")]
    [InlineData("stages.read.data=poem", "stages.read.data", "no data source named 'poem'")]
    [InlineData("stages.read.data=[poems", "stages.read.data", "")]
    [InlineData("small.model.layers=1", "small", "unknown key 'small'")]
    public void A_fault_of_an_override_names_it(string text, string path, string problem)
    {
        var fault = Assert.Single(SampleRecipes.Read(SampleRecipes.Whole, false, text).Faults);
        Assert.Equal((path, 0), (fault.Path, fault.Line));
        Assert.Contains(problem, fault.Problem, StringComparison.Ordinal);
        Assert.StartsWith($"override '{text}'  ", fault.ToString(), StringComparison.Ordinal);
    }
}
