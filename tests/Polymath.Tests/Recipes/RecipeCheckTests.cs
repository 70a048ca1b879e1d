namespace Polymath.Tests.Recipes;

/// <summary>How the parts of a recipe fit together: one row for each check.</summary>
[Trait("kind", "unit")]
public sealed class RecipeCheckTests
{
    [Theory]
    [InlineData("name: sample", "name: ../up", "name", "cannot name a folder")]
    [InlineData("- name: please", "- name: 'a b'", "stages[3].name", "cannot name a folder")]
    [InlineData("- name: please", "- name: write", "stages[3].name", "another stage is named 'write'")]
    [InlineData("- name: please", "- name: write.2", "stages.write.2.name", "later round's visit")]
    [InlineData("rounds: {count: 2, stages: [write]}", "rounds: {count: 2, stages: [wrte]}", "rounds.stages[0]", "no stage named 'wrte'")]
    [InlineData("heads: 4, keyValueHeads: 2", "heads: 5, keyValueHeads: 5", "model.heads", "do not divide the hiddenSize of 48")]
    [InlineData("heads: 4, keyValueHeads: 2", "heads: 16, keyValueHeads: 2", "model.heads", "odd")]
    [InlineData("keyValueHeads: 2", "keyValueHeads: 3", "model.keyValueHeads", "do not divide the 4 heads")]
    [InlineData("tokenizer: {kind: character}\n", "", "tokenizer", "missing")]
    [InlineData("steps: 20", "", "stages.read", "neither 'steps' nor 'epochs'")]
    [InlineData("steps: 20", "steps: 20\n    epochs: 1", "stages.read.epochs", "both given")]
    [InlineData("steps: 8", "epochs: 8", "stages.please.epochs", "counted in steps")]
    [InlineData("steps: 8", "", "stages.please", "counted in steps")]
    [InlineData("rollout: {rounds: 2}", "rollout: {rounds: 9}", "stages.please.rollout.rounds", "do not fit in 8 steps")]
    [InlineData("warmup: 5", "warmup: 21", "stages.read.schedule.warmup", "longer than the 20 steps")]
    [InlineData("microTokens: 256", "microTokens: 1024", "stages.read.batch.microTokens", "more than the 512 tokens")]
    [InlineData("maxLength: 64", "maxLength: 65", "stages.read.batch.maxLength", "contextLength of 64")]
    [InlineData("template: \"{text} by {mask}\"", "template: \"{text} by\"", "stages.tell.method.template", "no {mask}")]
    [InlineData("template: \"{text} by {mask}\"", "template: \"{mask} by {mask}\"", "stages.tell.method.template", "2 times {mask}")]
    [InlineData("template: \"{text} by {mask}\"", "template: \"{text} by {{mask}}\"", "stages.tell.method.template", "no {mask}")]
    [InlineData("{kind: lora, r: 4}", "{kind: prompt, template: '{mask}', verbalizer: {}}", "stages.tell.method.train.kind",
        "cannot be trained by another one")]
    [InlineData("{kind: freeze, train: \"model.layers.1.*\"}", "{kind: prompt, template: '{mask}', verbalizer: {}}",
        "stages.write.method.kind", "no meaning in a stage of the kind finetune")]
    [InlineData("{kind: freeze, train: \"model.layers.1.*\"}", "{kind: freeze}", "stages.write.method", "names no weights to train")]
    [InlineData(
        "{kind: freeze, train: \"model.layers.1.*\"}", "{kind: freeze, layers: []}", "stages.write.method.layers", "the list is empty")]
    [InlineData("{kind: lora, r: 4}", "{kind: freeze}", "stages.tell.method.train", "names no weights to train")]
    [InlineData("words: {Li: [L, i], Du: D}", "words: {Li: [], Du: D}", "stages.tell.method.verbalizer.words.Li", "has no word")]
    [InlineData("words: {Li: [L, i], Du: D}", "words: {Li: [L, ''], Du: D}", "stages.tell.method.verbalizer.words.Li", "has an empty word")]
    [InlineData("words: {Li: [L, i], Du: D}", "words: {}", "stages.tell.method.verbalizer.words", "no labels")]
    [InlineData("optimizer: {rate: 3e-3}", "optimizer: {rate: 3e-3, loraPlusRatio: 16}", "stages.read.optimizer.loraPlusRatio",
        "this stage trains none")]
    [InlineData("optimizer: {rate: 1e-3}", "optimizer: {rate: 1e-3, loraPlusRatio: 16}", "stages.write.optimizer.loraPlusRatio",
        "this stage trains none")]
    [InlineData("best: form", "best: author", "stages.write.checkpoint.best", "not among the abilities")]
    [InlineData("best: form", "best: fom", "stages.write.checkpoint.best", "no ability named 'fom'")]
    [InlineData("evaluate: {every: 5, abilities: [form, variety]}", "evaluate: {abilities: [form]}", "stages.write.evaluate.every",
        "nothing is measured during the stage")]
    [InlineData("evaluate: {every: 5, abilities: [form, variety]}", "evaluate: {every: 5, abilities: [form, fun]}",
        "stages.write.evaluate.abilities[1]", "no ability named 'fun'")]
    [InlineData(
        "{kind: perplexity, stage: read}", "{kind: perplexity, stage: tell}", "abilities.reading.stage", "measures pretrain or finetune")]
    [InlineData("{kind: perplexity, stage: read}", "{kind: perplexity, stage: red}", "abilities.reading.stage", "no stage named 'red'")]
    [InlineData("{kind: accuracy, stage: tell}", "{kind: accuracy, stage: read}", "abilities.author.stage", "measures task")]
    [InlineData("{kind: reward, stage: write, reward: form}", "{kind: reward, stage: write, reward: norm}", "abilities.form.reward",
        "no reward named 'norm'")]
    [InlineData(
        "reading: {kind: perplexity, stage: read}", "reading: {kind: perplexity, stage: read}\n  after: {kind: perplexity, stage: read}",
        "abilities.after", "the report's name for the stage")]
    [InlineData("{kind: distinct, stage: write}", "{kind: distinct, stage: read}", "abilities.variety.stage", "measures finetune or align")]
    [InlineData("{kind: pattern, by: form, match", "{kind: pattern, match", "rewards.form.by", "'by' is missing")]
    [InlineData("{kind: pattern, by: form, match", "{kind: pattern, by: fom, match", "rewards.form.by", "no field 'fom'")]
    [InlineData("match: {short: 'a+'}", "match: {short: 'a('}", "rewards.form.match.short", "not a regular expression")]
    [InlineData("lacks: 'b'", "lacks: '[b'", "rewards.form.lacks", "not a regular expression")]
    [InlineData("positions: [2, 4]", "positions: [2, 0]", "rewards.tones.positions", "0 is not a place")]
    [InlineData("table: tone", "table: simple", "rewards.tones.table", "another kind")]
    [InlineData("table: tone", "table: tones", "rewards.tones.table", "no table named 'tones'")]
    [InlineData("convert: [simple]", "convert: [tone]", "chat.convert", "another kind")]
    [InlineData("rewards: {form: 1, tones: 0.5}", "rewards: {form: 1, tone: 0.5}", "stages.please.rewards.tone", "no reward named 'tone'")]
    [InlineData("dict/*.js,", "dict/*.js, entry: '(?<from>a)b',", "tables.simple.entry", "no group named 'to'")]
    [InlineData("marksField: marks", "marksField: mark", "tables.tone.marksField", "has no field 'mark'")]
    [InlineData("textField: text", "textField: txt", "tables.tone.textField", "has no field 'txt'")]
    [InlineData("key: id", "key: title", "tables.tone.key", "'marked' has no field 'title'")]
    [InlineData("texts: poems", "texts: poem", "tables.tone.texts", "no data source named 'poem'")]
    [InlineData("validation: 0.1, test: 0.1", "validation: 0.5, test: 0.5", "data.poems.split", "none to train on")]
    [InlineData("split: {by: title", "split: {by: titel", "data.poems.split.by", "has no field 'titel'")]
    [InlineData("distinct: text", "distinct: texts", "data.poems.distinct", "has no field 'texts'")]
    [InlineData("where: [{field: text, minimumLength: 1}]", "where: [{field: tex, minimumLength: 1}]", "data.poems.where[0].field",
        "has no field 'tex'")]
    [InlineData("where: {field: text, maximumLength: 40}", "where: {field: text, matches: '*'}", "data.short.where.matches",
        "not a regular expression")]
    [InlineData("fields: {form: \"short {title}\"}", "fields: {form: \"short {titel}\"}", "data.short.fields.form", "has no field 'titel'")]
    [InlineData("short: {view: poems", "short: {view: shorter", "data.short.view", "short > shorter > short")]
    [InlineData("shorter: {view: short}", "shorter: {view: shorter}", "data.shorter.view", "shorter > shorter")]
    [InlineData("text: \"{title} {text}\"", "text: \"{title} {body}\"", "stages.read.text", "has no field 'body'")]
    [InlineData("text: \"{title} {text}\"", "text: \"{title} {form}\"", "stages.read.text", "has no field 'form'")]
    [InlineData("answer: \"{text}\"", "answer: \"{txt}\"", "stages.write.answer", "have no field 'txt'")]
    [InlineData("label: author", "label: writer", "stages.tell.label", "has no field 'writer'")]
    [InlineData("template: \"{text} by {mask}\"", "template: \"{tex} by {mask}\"", "stages.tell.method.template", "has no field 'tex'")]
    [InlineData("npm:poems@2.0.1/json/*.json", "npm:poems/json/*.json", "data.poems.files", "names no version")]
    [InlineData("npm:poems@2.0.1/json/*.json", "npm:poems@^2.0.1/json/*.json", "data.poems.files", "not an exact version")]
    [InlineData("npm:poems@2.0.1/json/*.json", "npm:poems@2.0.1", "data.poems.files", "names no file")]
    [InlineData("npm:poems@2.0.1/json/*.json", "npm:poems@2.0.1/../x", "data.poems.files", "not a path inside the package")]
    [InlineData("npm:poems@2.0.1/json/*.json", "npm:Poems!@2.0.1/x", "data.poems.files", "not a package address")]
    [InlineData("npm:poems@2.0.1/json/*.json", "nmp:poems@2.0.1/x", "data.poems.files", "not a known kind of address")]
    [InlineData("npm:poems@2.0.1/json/*.json", "[npm:poems@2.0.1/x, npm:poems@2.0.2/x]", "data.poems.files", "one sha512 cannot verify")]
    [InlineData("npm:poems@2.0.1/json/*.json", "tang.json", "data.poems.files", "there is no file 'tang.json'")]
    [InlineData("npm:poems@2.0.1/json/*.json", "nowhere/**/*.json", "data.poems.files", "no file matches")]
    [InlineData("files: npm:tables@1.2.3/dict/*.js, sha512: ", "files: npm:tables@1.2.3/dict/*.js, sha512: x", "tables.simple.sha512",
        "not the base64 of 64 bytes")]
    [InlineData("/*.json\n    sha512: ", "/*.json\n    distinct: text #", "data.poems.sha512", "'sha512' is missing")]
    public void What_does_not_fit_is_one_fault(string from, string to, string path, string problem)
    {
        Assert.Contains(from, SampleRecipes.Whole, StringComparison.Ordinal);
        var text = SampleRecipes.Whole.Replace(from, to, StringComparison.Ordinal);
        if (to.Contains("distinct: text #", StringComparison.Ordinal))
            text = text.Replace("    distinct: text\n", "", StringComparison.Ordinal);
        var faults = SampleRecipes.Read(text).Faults;
        var fault = Assert.Single(faults, fault => fault.Path == path && fault.Problem.Contains(problem, StringComparison.Ordinal));
        Assert.True(fault.Line > 0 && fault.Column > 0 && fault.Hint.Length > 0, fault.ToString());
        Assert.All(faults, other => Assert.Equal(Last(path), Last(other.Path)));
    }

    private static string Headed
    {
        get
        {
            var start = SampleRecipes.Whole.IndexOf("    method:\n", StringComparison.Ordinal);
            var end = SampleRecipes.Whole.IndexOf("  - name: please", StringComparison.Ordinal);
            return SampleRecipes.Whole.Remove(start, end - start);
        }
    }

    // The stage that trains a head is the last.
    private static string HeadLast =>
        Headed[..Headed.IndexOf("  - name: please", StringComparison.Ordinal)].Replace("rounds: {count: 2, stages: [write]}\n", "");

    [Fact]
    public void A_task_stage_without_a_prompt_trains_a_head_after_which_no_words_are_learned()
    {
        var fault = Assert.Single(SampleRecipes.Read(Headed).Faults);
        Assert.Equal("stages.please.kind", fault.Path);
        Assert.Contains("'please' comes after 'tell', which leaves a model with a head over labels", fault.Problem);
        Assert.Contains("move 'tell' behind it", fault.Hint);
        foreach (var method in new[]
        {
            "", "\n    method: {kind: full}", "\n    method: {kind: freeze}", "\n    method: {kind: lora}",
            "\n    text: \"{title} {text}\"",
        })
            Assert.Empty(SampleRecipes.Read(HeadLast.Replace("label: author", "label: author" + method)).Faults);
        // A later round comes after it, too.
        Assert.Contains(
            "'read.2' comes after 'tell'",
            Assert.Single(SampleRecipes.Read(HeadLast + "rounds: {count: 2, stages: [read]}\n").Faults).Problem);
        Assert.Empty(SampleRecipes.Read(HeadLast + "rounds: {count: 3, stages: [tell]}\n").Faults);
    }

    [Theory]
    [InlineData("label: author", "label: author\n    text: \"{titel}\"", "stages.tell.text", "no field 'titel'")]
    [InlineData("label: author", "label: author\n    evaluate: {every: 2, abilities: [reading]}", "stages.tell.evaluate.abilities",
        "'reading' needs a head over words")]
    [InlineData("text: \"{title} {text}\"", "text: \"{title} {text}\"\n    evaluate: {every: 2, abilities: [author]}",
        "stages.read.evaluate.abilities", "'author' needs a head over labels")]
    [InlineData(
        "label: author", "label: author\n    method: {kind: adapters, adapters: {a: {delta: {form: lora}}, b: {delta: {form: lora}}}}",
        "stages.tell.method.adapters", "2 adapters would share one head")]
    [InlineData(
        "label: author", "label: author\n    text: \"{text}\"\n    method: {kind: prompt, template: \"{text} {mask}\", verbalizer: {}}",
        "stages.tell.text", "the template of a prompt says")]
    public void A_head_that_cannot_be_trained_so_is_a_fault(string what, string with, string path, string problem)
    {
        var fault = Assert.Single(SampleRecipes.Read(HeadLast.Replace(what, with)).Faults);
        Assert.Equal(path, fault.Path);
        Assert.Contains(problem, fault.Problem);
        Assert.NotEmpty(fault.Hint);
    }

    [Fact]
    public void A_stage_with_a_mistake_is_still_checked_as_a_whole()
    {
        var text = SampleRecipes.Whole.Replace("optimizer: {rate: 3e-3}", "optimizer: {rat: 3e-3}")
            .Replace("steps: 20", "").Replace("kind: cosine, ", "kind: x, ");
        Assert.Equal(
            ["stages.read", "stages.read.optimizer.rat", "stages.read.schedule.kind"],
            SampleRecipes.Read(text).Faults.Select(fault => fault.Path).Order());
    }

    /// <summary>The last name of a path, without an index.</summary>
    private static string Last(string path) => path.Split('.')[^1].Split('[')[0];
}
