namespace Polymath.Tests.Recipes;

/// <summary>The checks of several adapters of a stage: one row for each check.</summary>
[Trait("kind", "unit")]
public sealed class AdapterCheckTests
{
    private static readonly RecipeBuilder sound = RecipeBuilder.Of($$$"""
        name: several
        model: {family: llama, hiddenSize: 48, intermediateSize: 96, layers: 2, heads: 4, contextLength: 64}
        tokenizer: {kind: character}
        data:
          law: {files: 'npm:poems@2.0.1/a/*.json', sha512: {{{SampleRecipes.Hash}}}, fields: {text: text}}
          verse: {files: 'npm:poems@2.0.1/b/*.json', sha512: {{{SampleRecipes.Hash}}}, fields: {text: text}}
          prose: {files: 'npm:poems@2.0.1/c/*.json', sha512: {{{SampleRecipes.Hash}}}, fields: {text: text}}
        rewards:
          form: {kind: pattern, match: {'*': 'a+'}}
        stages:
          - {name: one, kind: pretrain, data: law, steps: 5, optimizer: {rate: 1e-3}, method: {kind: lora, merge: false}}
          - {name: two, kind: pretrain, data: verse, steps: 5, optimizer: {rate: 1e-3}, method: {kind: delta, form: lora}}
          - name: all
            kind: pretrain
            data: [law, verse]
            steps: 5
            optimizer: {rate: 1e-3}
            method: {}
        """);

    // What is said of how they come together may go on with other settings of the method.
    private static RecipeBuilder Recipe(string together, string first, string second) => sound
        .With("stages.all.method", $"{{kind: adapters, together: {together}}}").With("stages.all.method.adapters", $"{first}\n{second}");

    [Theory]
    [InlineData("stack", "one: {stage: one, optimizerState: true, optimizer: {rate: 1e-4}}", "two: {stage: two, frozen: true}")]
    [InlineData("route", "one: {stage: one, data: [law]}", "two: {delta: {form: lora}, data: [verse, law]}")]
    [InlineData("mix", "one: {stage: one, frozen: true}", "two: {stage: two, frozen: true}")]
    [InlineData(
        "combine, combine: {kind: ties, density: 0.5}, merge: true", "one: {stage: one, weight: 0.7}", "two: {stage: two}")]
    public void Adapters_come_together_in_four_ways(string together, string first, string second) =>
        Assert.Equal([], SampleRecipes.Read(Recipe(together, first, second).Text).Faults.Select(fault => fault.ToString()));

    [Theory]
    [InlineData("stack", "", "", ".adapters", "nothing stands where a mapping")]
    [InlineData("stack", "'a b': {stage: one}", "two: {stage: two}", ".adapters.a b", "cannot name a folder")]
    [InlineData("stack", "con: {stage: one}", "two: {stage: two}", ".adapters.con", "cannot name a folder")]
    [InlineData("stack", "nul.1: {stage: one}", "two: {stage: two}", ".adapters.nul.1", "cannot name a folder")]
    [InlineData("stack", "adapters.json: {stage: one}", "two: {stage: two}", ".adapters.adapters.json", "is a file's name")]
    [InlineData("mix", "mixture: {stage: one}", "two: {stage: two}", ".adapters.mixture", "the name of the gates")]
    [InlineData("stack", "Two: {stage: one}", "two: {stage: two}", ".adapters.two", "in other letters")]
    [InlineData("stack", "one: {stage: one, frozen: true}", "two: {stage: two, frozen: true}", ".adapters", "all of them are frozen")]
    [InlineData("route", "one: {stage: one, frozen: true, data: law}", "two: {stage: two, frozen: true, data: law}", ".adapters",
        "all of them are frozen")]
    [InlineData("stack", "one: {stage: one, optimizer: {rate: 1e-4, loraPlusRatio: 16}}",
        "new: {delta: {form: vera}, optimizer: {rate: 1e-4, loraPlusRatio: 16}}", ".adapters.new.optimizer.loraPlusRatio",
        "this adapter trains none")]
    [InlineData("mix", "one: {stage: one}", "", ".together", "needs two adapters or more")]
    [InlineData("stack, combine: ties", "one: {stage: one}", "two: {stage: two}", ".combine",
        "'combine' has no meaning where adapters stack")]
    [InlineData(
        "route, merge: true", "one: {stage: one, data: law}", "two: {stage: two, data: verse}", ".merge", "apply to some rows only")]
    [InlineData("mix, merge: true", "one: {stage: one}", "two: {stage: two}", ".merge", "change with every token")]
    [InlineData("stack", "one: {frozen: true}", "two: {stage: two}", ".adapters.one", "nothing says where it comes from")]
    [InlineData("stack", "one: {stage: one, delta: {form: lora}}", "two: {stage: two}", ".adapters.one", "more than one place")]
    [InlineData(
        "stack", "one: {delta: {form: lora, merge: true}}", "two: {stage: two}", ".adapters.one.delta", "given once, for all adapters")]
    [InlineData(
        "stack", "one: {delta: {form: lora, base: nf4}}", "two: {stage: two}", ".adapters.one.delta", "given once, for all adapters")]
    [InlineData("combine", "one: {delta: {form: lora}}", "two: {stage: two}", ".adapters.one.delta", "nothing to combine")]
    [InlineData("combine", "one: {stage: one, optimizerState: true}", "two: {stage: two}", ".adapters.one.optimizerState",
        "are new and have no state")]
    [InlineData("combine", "one: {stage: one, optimizer: {rate: 1e-4}}", "two: {stage: two}", ".adapters.one.optimizer",
        "the stage's optimizer trains")]
    [InlineData("combine", "one: {stage: one, frozen: true}", "two: {stage: two}", ".adapters.one.frozen", "only read")]
    [InlineData("stack", "one: {delta: {form: lora}, optimizerState: true}", "two: {stage: two}", ".adapters.one.optimizerState",
        "a fresh adapter has no state")]
    [InlineData("stack", "one: {stage: one, optimizerState: true, frozen: true}", "two: {stage: two}", ".adapters.one.optimizerState",
        "is not trained")]
    [InlineData("stack", "one: {stage: one, optimizer: {rate: 1e-4}, frozen: true}", "two: {stage: two}", ".adapters.one.optimizer",
        "is not trained")]
    [InlineData(
        "stack", "one: {stage: one, data: law}", "two: {stage: two}", ".adapters.one.data", "'data' has no meaning where adapters stack")]
    [InlineData(
        "mix", "one: {stage: one, weight: 2}", "two: {stage: two}", ".adapters.one.weight", "'weight' has no meaning where adapters mix")]
    [InlineData("route", "one: {stage: one}", "two: {stage: two, data: verse}", ".adapters.one", "no row is sent to it")]
    [InlineData("route", "one: {stage: one, data: [law, prose]}", "two: {stage: two, data: verse}", ".adapters.one.data",
        "not among the data of the stage")]
    [InlineData("stack", "one: {stage: all}", "two: {stage: two}", ".adapters.one.stage", "does not come before this one")]
    [InlineData("stack", "one: {stage: on}", "two: {stage: two}", ".adapters.one.stage", "no stage named 'on'")]
    [InlineData("stack", "one: {stage: one, wieght: 2}", "two: {stage: two}", ".adapters.one.wieght", "wieght")]
    public void What_cannot_come_together_is_one_fault(
        string together,
        string first,
        string second,
        string path,
        string problem)
    {
        var faults = SampleRecipes.Read(Recipe(together, first, second).Text).Faults;
        var fault = Assert.Single(
            faults, fault => fault.Path == "stages.all.method" + path && fault.Problem.Contains(problem, StringComparison.Ordinal));
        Assert.True(fault.Line > 0 && fault.Column > 0 && fault.Hint.Length > 0, fault.ToString());
        Assert.All(faults, other => Assert.StartsWith("stages.all.method" + path, other.Path, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{kind: delta, form: lora, merge: true}", ".two.stage", "saves no adapter apart")]
    [InlineData("{kind: freeze, lastLayers: 1}", ".one.stage", "the stage 'two', which comes between, changes the model")]
    [InlineData("{kind: adapters, adapters: {three: {delta: {form: lora}}, four: {delta: {form: ia3}}}}", ".two",
        "has no adapter of this name")]
    public void What_an_earlier_stage_does_not_give_is_a_fault(string method, string path, string problem) =>
        Assert.Contains(
            SampleRecipes.Read(
                Recipe("stack", "one: {stage: one}", "two: {stage: two}").With("stages.two.method", method).Text).Faults,
            fault => fault.Path == "stages.all.method.adapters" + path && fault.Problem.Contains(problem, StringComparison.Ordinal));

    [Fact]
    public void Rows_that_a_stage_samples_belong_to_no_adapter()
    {
        var recipe = Recipe("route", "one: {stage: one, data: law}", "two: {stage: two, data: verse}")
            .With("stages.all.kind", "align").With("stages.all.prompt", "x")
            .With("stages.all.rewards", "{form: 1}").With("stages.all.rollout", "{rounds: 1}");
        var fault = Assert.Single(SampleRecipes.Read(recipe.Text).Faults);
        Assert.Equal(
            ("stages.all.method.together", true), (fault.Path, fault.Problem.Contains("samples its own rows", StringComparison.Ordinal)));
    }

    [Fact]
    public void Eight_mistakes_of_one_stage_are_told_together()
    {
        var faults = SampleRecipes.Read(Recipe(
            "route, merge: true, combine: ties",
            "mix.json: {stage: all, optimizerState: true, frozen: true, weight: 3}",
            "two: {data: [prose]}").Text).Faults.Select(fault => fault.Path["stages.all.method".Length..]).ToList();
        Assert.Superset(
            new HashSet<string>
            {
                ".merge", ".combine", ".adapters.mix.json", ".adapters.mix.json.stage", ".adapters.mix.json.optimizerState",
                ".adapters.mix.json.weight", ".adapters.two", ".adapters.two.data",
            },
            faults.ToHashSet());
    }
}
