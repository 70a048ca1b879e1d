namespace Polymath.Tests.Recipes;

/// <summary>How the parts of a recipe fit together: one row for each check.</summary>
[Trait("kind", "unit")]
public sealed class RecipeCheckTests
{
    private static readonly RecipeBuilder sample = SampleRecipes.Sample;

    // A stage that trains a head, where the prompt was; and it as the last stage.
    private static readonly RecipeBuilder headed = sample.Without("stages.tell.method");
    private static readonly RecipeBuilder headLast = headed.Without("stages.please", "rounds");

    [Theory]
    [InlineData("name", "../up", "cannot name a folder")]
    [InlineData("stages.please.name", "'a b'", "cannot name a folder", "stages[3].name")]
    [InlineData("stages.please.name", "write", "another stage is named 'write'", "stages[3].name")]
    [InlineData("stages.please.name", "write.2", "later round's visit", "stages.write.2.name")]
    [InlineData("rounds.stages[0]", "wrte", "no stage named 'wrte'")]
    [InlineData("model.keyValueHeads", "3", "do not divide the 4 heads")]
    [InlineData("model", "{family: quen3, hiddenSize: 48, intermediateSize: 96, layers: 2, heads: 4}", "no family named 'quen3'",
        "model.family")]
    [InlineData("model", "{family: qwen3, hiddenSize: 48, intermediateSize: 96, layers: 2, heads: 4, keyValueHeads: 3}",
        "do not divide the 4 heads", "model.keyValueHeads")]
    [InlineData("tokenizer", null, "missing")]
    [InlineData("stages.read.steps", null, "neither 'steps' nor 'epochs'", "stages.read")]
    [InlineData("stages.read.epochs", "1", "both given")]
    [InlineData("stages.please.steps", null, "counted in steps", "stages.please")]
    [InlineData("stages.please.rollout.rounds", "9", "do not fit in 8 steps")]
    [InlineData("stages.read.schedule.warmup", "21", "longer than the 20 steps")]
    [InlineData("stages.read.batch.microTokens", "1024", "more than the 512 tokens")]
    [InlineData("stages.read.batch.maxLength", "65", "contextLength of 64")]
    [InlineData("stages.tell.method.template", "\"{text} by\"", "no {mask}")]
    [InlineData("stages.tell.method.template", "\"{mask} by {mask}\"", "2 times {mask}")]
    [InlineData("stages.tell.method.template", "\"{text} by {{mask}}\"", "no {mask}")]
    [InlineData("stages.tell.method.train", "{kind: prompt, template: '{mask}', verbalizer: {}}", "cannot be trained by another one",
        "stages.tell.method.train.kind")]
    [InlineData("stages.write.method", "{kind: prompt, template: '{mask}', verbalizer: {}}", "no meaning in a stage of the kind finetune",
        "stages.write.method.kind")]
    [InlineData("stages.write.method", "{kind: freeze}", "names no weights to train")]
    [InlineData("stages.write.method", "{kind: freeze, layers: []}", "the list is empty", "stages.write.method.layers")]
    [InlineData("stages.tell.method.train", "{kind: freeze}", "names no weights to train")]
    [InlineData("stages.tell.method.verbalizer.words.Li", "[]", "has no word")]
    [InlineData("stages.tell.method.verbalizer.words.Li", "[L, '']", "has an empty word")]
    [InlineData("stages.tell.method.verbalizer.words", "{}", "no labels")]
    [InlineData("stages.read.optimizer.loraPlusRatio", "16", "this stage trains none")]
    [InlineData("stages.write.optimizer.loraPlusRatio", "16", "this stage trains none")]
    [InlineData("stages.write.checkpoint.best", "author", "not among the abilities")]
    [InlineData("stages.write.checkpoint.best", "fom", "'fom' is not among the abilities this stage evaluates")]
    [InlineData("stages.write.evaluate", "{abilities: [form]}", "nothing is measured during the stage", "stages.write.evaluate.every")]
    [InlineData("stages.write.evaluate.abilities[1]", "fun", "no ability named 'fun'")]
    [InlineData("abilities.reading.stage", "tell", "measures pretrain or finetune")]
    [InlineData("abilities.reading.stage", "red", "no stage named 'red'")]
    [InlineData("abilities.author.stage", "read", "measures task")]
    [InlineData("abilities.form.reward", "norm", "no reward named 'norm'")]
    [InlineData("abilities.after", "{kind: perplexity, stage: read}", "the report's name for the stage")]
    [InlineData("abilities.variety.stage", "read", "measures finetune or align")]
    [InlineData("rewards.form.by", null, "'by' is missing")]
    [InlineData("rewards.form.by", "fom", "no field 'fom'")]
    [InlineData("rewards.form.match.short", "'a('", "not a regular expression")]
    [InlineData("rewards.form.lacks", "'[b'", "not a regular expression")]
    [InlineData("rewards.tones.positions", "[2, 0]", "0 is not a place")]
    [InlineData("rewards.tones.table", "simple", "another kind")]
    [InlineData("rewards.tones.table", "tones", "no table named 'tones'")]
    [InlineData("chat.convert", "[tone]", "another kind")]
    [InlineData("stages.please.rewards", "{form: 1, tone: 0.5}", "no reward named 'tone'", "stages.please.rewards.tone")]
    [InlineData("tables.simple.entry", "'(?<from>a)b'", "no group named 'to'")]
    [InlineData("tables.tone.marksField", "mark", "has no field 'mark'")]
    [InlineData("tables.tone.textField", "txt", "has no field 'txt'")]
    [InlineData("tables.tone.key", "title", "'marked' has no field 'title'")]
    [InlineData("tables.tone.texts", "poem", "no data source named 'poem'")]
    [InlineData("data.poems.split", "{by: title, validation: 0.5, test: 0.5}", "none to train on")]
    [InlineData("data.poems.split.by", "titel", "has no field 'titel'")]
    [InlineData("data.poems.distinct", "texts", "has no field 'texts'")]
    [InlineData("data.poems.where[0].field", "tex", "has no field 'tex'")]
    [InlineData("data.short.where", "{field: text, matches: '*'}", "not a regular expression", "data.short.where.matches")]
    [InlineData("data.short.fields.form", "\"short {titel}\"", "has no field 'titel'")]
    [InlineData("data.short.view", "shorter", "short > shorter > short")]
    [InlineData("data.shorter.view", "shorter", "shorter > shorter")]
    [InlineData("stages.read.text", "\"{title} {body}\"", "has no field 'body'")]
    [InlineData("stages.read.text", "\"{title} {form}\"", "has no field 'form'")]
    [InlineData("stages.write.answer", "\"{txt}\"", "have no field 'txt'")]
    [InlineData("stages.tell.label", "writer", "has no field 'writer'")]
    [InlineData("stages.tell.method.template", "\"{tex} by {mask}\"", "has no field 'tex'")]
    [InlineData("data.poems.files", "npm:poems/json/*.json", "names no version")]
    [InlineData("data.poems.files", "npm:poems@^2.0.1/json/*.json", "not an exact version")]
    [InlineData("data.poems.files", "npm:poems@2.0.1", "names no file")]
    [InlineData("data.poems.files", "npm:poems@2.0.1/../x", "not a path inside the package")]
    [InlineData("data.poems.files", "npm:Poems!@2.0.1/x", "not a package address")]
    [InlineData("data.poems.files", "nmp:poems@2.0.1/x", "not a known kind of address")]
    [InlineData("data.poems.files", "[npm:poems@2.0.1/x, npm:poems@2.0.2/x]", "one sha512 cannot verify")]
    [InlineData("data.poems.files", "tang.json", "there is no file 'tang.json'")]
    [InlineData("data.poems.files", "nowhere/**/*.json", "no file matches")]
    [InlineData("tables.simple.sha512", "x" + SampleRecipes.Hash, "not the base64 of 64 bytes")]
    [InlineData("data.poems.sha512", null, "'sha512' is missing")]
    public void What_does_not_fit_is_one_fault(string path, string? value, string problem, string? at = null) =>
        IsOneFault(sample.With(path, value), at ?? path, problem);

    [Fact]
    public void Two_settings_that_do_not_fit_are_one_fault()
    {
        IsOneFault(
            sample.With("model.heads", "5").With("model.keyValueHeads", "5"), "model.heads", "do not divide the hiddenSize of 48");
        IsOneFault(sample.With("model.heads", "16"), "model.heads", "odd");
        IsOneFault(sample.Renamed("stages.please.steps", "epochs"), "stages.please.epochs", "counted in steps");
    }

    private static void IsOneFault(RecipeBuilder recipe, string path, string problem)
    {
        var faults = SampleRecipes.Read(recipe.Text).Faults;
        var fault = Assert.Single(faults, fault => fault.Path == path && fault.Problem.Contains(problem, StringComparison.Ordinal));
        Assert.True(fault.Line > 0 && fault.Column > 0 && fault.Hint.Length > 0, fault.ToString());
        Assert.All(faults, other => Assert.Equal(Last(path), Last(other.Path)));
    }

    [Fact]
    public void A_task_stage_without_a_prompt_trains_a_head_after_which_no_words_are_learned()
    {
        var fault = Assert.Single(SampleRecipes.Read(headed.Text).Faults);
        Assert.Equal("stages.please.kind", fault.Path);
        Assert.Contains("'please' comes after 'tell', which leaves a model with a head over labels", fault.Problem);
        Assert.Contains("move 'tell' behind it", fault.Hint);
        Assert.Empty(SampleRecipes.Read(headLast.Text).Faults);
        foreach (var method in new[] { "{kind: full}", "{kind: freeze}", "{kind: lora}" })
            Assert.Empty(SampleRecipes.Read(headLast.With("stages.tell.method", method).Text).Faults);
        Assert.Empty(SampleRecipes.Read(headLast.With("stages.tell.text", "\"{title} {text}\"").Text).Faults);
        // A later round comes after it, too.
        Assert.Contains(
            "'read.2' comes after 'tell'",
            Assert.Single(SampleRecipes.Read(headLast.With("rounds", "{count: 2, stages: [read]}").Text).Faults).Problem);
        Assert.Empty(SampleRecipes.Read(headLast.With("rounds", "{count: 3, stages: [tell]}").Text).Faults);
    }

    [Theory]
    [InlineData("stages.tell.text", "\"{titel}\"", "stages.tell.text", "no field 'titel'")]
    [InlineData("stages.tell.evaluate", "{every: 2, abilities: [reading]}", "stages.tell.evaluate.abilities",
        "'reading' needs a head over words")]
    [InlineData("stages.read.evaluate", "{every: 2, abilities: [author]}", "stages.read.evaluate.abilities",
        "'author' needs a head over labels")]
    [InlineData("stages.tell.method", "{kind: adapters, adapters: {a: {delta: {form: lora}}, b: {delta: {form: lora}}}}",
        "stages.tell.method.adapters", "2 adapters would share one head")]
    public void A_head_that_cannot_be_trained_so_is_a_fault(string what, string with, string path, string problem) =>
        CannotBeTrained(headLast.With(what, with), path, problem);

    [Fact]
    public void A_prompt_beside_a_text_is_a_fault() => CannotBeTrained(
        headLast.With("stages.tell.text", "\"{text}\"")
            .With("stages.tell.method", "{kind: prompt, template: \"{text} {mask}\", verbalizer: {}}"),
        "stages.tell.text",
        "the template of a prompt says");

    private static void CannotBeTrained(RecipeBuilder recipe, string path, string problem)
    {
        var fault = Assert.Single(SampleRecipes.Read(recipe.Text).Faults);
        Assert.Equal(path, fault.Path);
        Assert.Contains(problem, fault.Problem);
        Assert.NotEmpty(fault.Hint);
    }

    [Fact]
    public void A_stage_with_a_mistake_is_still_checked_as_a_whole()
    {
        var recipe = sample.Renamed("stages.read.optimizer.rate", "rat").Without("stages.read.steps")
            .With("stages.read.schedule.kind", "x");
        Assert.Equal(
            ["stages.read", "stages.read.optimizer.rat", "stages.read.schedule.kind"],
            SampleRecipes.Read(recipe.Text).Faults.Select(fault => fault.Path).Order());
    }

    /// <summary>The last name of a path, without an index.</summary>
    private static string Last(string path) => path.Split('.')[^1].Split('[')[0];
}
