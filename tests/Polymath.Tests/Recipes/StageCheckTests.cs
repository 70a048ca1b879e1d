namespace Polymath.Tests.Recipes;

/// <summary>The length, the schedule, the batches, the shares and the measurements of a stage: one row for each fault.</summary>
[Trait("kind", "unit")]
public sealed class StageCheckTests
{
    private static readonly RecipeBuilder sample = SampleRecipes.Sample;

    // Pairs to learn from, in place of the samples.
    private static readonly RecipeBuilder ranked = sample
        .With("data.pairs", $"{{files: 'npm:poems@2.0.1/pairs/*.json', sha512: {SampleRecipes.Hash}, shape: preference}}")
        .With("stages.please", "{name: please, kind: align, data: pairs, steps: 8, optimizer: {rate: 1e-4}}");

    [Theory]
    [InlineData("stages.read.schedule.warmup", "1.5", "1.5 is no whole number of steps", "a share of them below 1")]
    [InlineData("stages.read.schedule", "{kind: constant, floor: 0.1}", "does not fall and has no floor", "leave it out",
        "stages.read.schedule.floor")]
    [InlineData("stages.read.schedule", "{kind: restarts, warmup: 5, cycles: 16}", "16 cycles do not fit behind a warmup of 5",
        "write 15 or less", "stages.read.schedule.cycles")]
    [InlineData("stages.read.batch", "{rows: 4, microRows: 5}", "5 is more than the 4 rows of a step", "write 4 or less",
        "stages.read.batch.microRows")]
    [InlineData("stages.write.batch", "{fill: true}", "a row of the kind finetune is one thing", "leave it out", "stages.write.batch.fill")]
    [InlineData("stages.write.batch", "{overlong: split}", "a row of the kind finetune cannot be split", "write cut, drop or refuse",
        "stages.write.batch.overlong")]
    [InlineData("stages.write.method", "{kind: freeze, train: []}", "the list is empty", "write train: [TEXT]",
        "stages.write.method.train")]
    [InlineData("stages.write.mix", "{short: 1, longer: 2}", "'longer' is none of the stage's sources", "short, shorter",
        "stages.write.mix.longer")]
    [InlineData("stages.write.mix", "{short: 1, shorter: 0}", "0 is no share", "a number above 0", "stages.write.mix.shorter")]
    [InlineData("stages.please.mix", "{short: 1}", "samples its own answers and reads no shares", "leave it out")]
    [InlineData("stages.please.checkpoint", "{best: heldOutLoss}", "has no held-out loss", "name an ability",
        "stages.please.checkpoint.best")]
    [InlineData("stages.please.evaluate", "{patience: 2}", "has no held-out loss", "name an ability", "stages.please.evaluate.patience")]
    [InlineData("stages.tell.checkpoint", "{best: author}", "not among the abilities", "every: WHOLE-NUMBER",
        "stages.tell.checkpoint.best")]
    [InlineData("stages.tell.evaluate", "{rows: 0, patience: 2}", "evaluate.rows is 0", "name an ability",
        "stages.tell.evaluate.patience")]
    [InlineData("stages.tell.evaluate", "{every: 0, patience: 2}", "so no patience can end", "write 1 or more",
        "stages.tell.evaluate.every")]
    [InlineData("stages.tell.evaluate", "{minimumChange: 0.1}", "no figure decides", "add patience",
        "stages.tell.evaluate.minimumChange")]
    [InlineData("stages.write.evaluate", "{every: 0, abilities: [form]}", "nothing is measured during the stage", "1 or more",
        "stages.write.evaluate.every")]
    [InlineData("stages.tell.method.template", "\"{mask} wrote {text}\"", "text follows {mask}: \"wrote {text}\"", "end with {mask}")]
    [InlineData("stages.tell.expertBiasRate", "0.001", "leaves the model as it is", "take method: {kind: full}")]
    [InlineData("model", "{family: chatglm, hiddenSize: 24, layers: 1, heads: 4, contextLength: 64, intermediateSize: 48}",
        "no multiple of 4", "a multiple of 4", "model.heads")]
    [InlineData("data.poems.part", "3 of", "is not a part", "write ")]
    [InlineData("data.poems.roles", "{human: user}", "'roles' has no meaning without a shape", "add shape: auto")]
    public void What_does_not_fit_into_a_stage_is_one_fault(
        string path,
        string value,
        string problem,
        string hint,
        string? at = null) => IsOneFault(sample.With(path, value), at ?? path, problem, hint);

    [Theory]
    [InlineData("stages.please.batch", "{maxCut: 0.5}", "counts the rows that are cut", "leave it out", "stages.please.batch.maxCut")]
    [InlineData("stages.please.batch", "{fill: true}", "a row of the kind align is one thing", "leave it out", "stages.please.batch.fill")]
    [InlineData("stages.please.batch", "{overlong: split}", "cannot be split", "cut, drop or refuse", "stages.please.batch.overlong")]
    [InlineData("data.pairs.fields", "{chosn: best}", "no shape has 'chosn'", "did you mean 'chosen'", "data.pairs.fields.chosn")]
    [InlineData("data.pairs.roles", "{human: person}", "'person' is not a role", "", "data.pairs.roles.human")]
    public void What_does_not_fit_to_pairs_is_one_fault(
        string path,
        string value,
        string problem,
        string hint,
        string at) => IsOneFault(ranked.With(path, value), at, problem, hint);

    [Fact]
    public void Pairs_without_a_fault_have_none() =>
        Assert.Equal([], SampleRecipes.Read(ranked.Text).Faults.Select(fault => fault.ToString()));

    private static void IsOneFault(RecipeBuilder recipe, string path, string problem, string hint)
    {
        var faults = SampleRecipes.Read(recipe.Text).Faults;
        Assert.True(
            faults.Any(fault => fault.Path == path && fault.Problem.Contains(problem, StringComparison.Ordinal)
                && fault.Hint.Contains(hint, StringComparison.Ordinal) && fault.Line > 0),
            string.Join('\n', faults));
        Assert.Single(faults);
    }
}
