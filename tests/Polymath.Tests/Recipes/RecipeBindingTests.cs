namespace Polymath.Tests.Recipes;

/// <summary>The values of single settings: kinds of values, bounds, known keys.</summary>
[Trait("kind", "unit")]
public sealed class RecipeBindingTests
{
    private static readonly RecipeBuilder sample = SampleRecipes.Sample;

    [Theory]
    [InlineData("model.layers", "2.0", "type 2")]
    [InlineData("model.layers", "1e3", "type 1000")]
    [InlineData("model.layers", "010", "type 10")]
    [InlineData("model.layers", "0x10", "write a whole number")]
    [InlineData("model.layers", "'2'", "remove the quotes")]
    [InlineData("model.layers", "99999999999", "write one up to 2147483647")]
    [InlineData("model.layers", "0", "write a number from 1 to 1000")]
    [InlineData("model.layers", "2000", "write a number from 1 to 1000")]
    [InlineData("model.layers", "null", "write WHOLE-NUMBER")]
    [InlineData("model.layers", "[2]", "write WHOLE-NUMBER")]
    [InlineData("model.layers", null, "add layers: WHOLE-NUMBER")]
    [InlineData("stages.read.optimizer.rate", ".nan", "write a number")]
    [InlineData("stages.read.optimizer.rate", "1e999", "write a number")]
    [InlineData("stages.read.optimizer.clip", "-1", "write 0 or more")]
    [InlineData("stages.read.optimizer.rate", null, "add rate: NUMBER")]
    [InlineData("stages.read.optimizer.kind", "adam", "did you mean 'adamw'?")]
    [InlineData("stages.read.optimizer", "3e-3", "write {rate: NUMBER}")]
    [InlineData("stages.tell.method.train", "{kind: lora, useRslora: yes}", "type true", "stages.tell.method.train.useRslora")]
    [InlineData("stages.tell.method.train", "{kind: lora, merge: False}", "type false", "stages.tell.method.train.merge")]
    [InlineData("stages.tell.method.train.kind", "full", "remove it, or write 'kind: lora'", "stages.tell.method.train.r")]
    [InlineData("stages.tell.method.train.kind", null, "add kind: full|freeze|lora|delta|adapters|prompt", "stages.tell.method.train")]
    [InlineData("stages.tell.method.train", "{kin: lora, r: 4}", "did you mean 'kind'?", "stages.tell.method.train.kin")]
    [InlineData("stages.tell.method.train", "{kind: [lora]}", "the choices here are full, freeze, lora, delta, adapters, prompt",
        "stages.tell.method.train.kind")]
    [InlineData("stages.read.schedule", "{kind: spiral}", "the choices here are cosine, linear, constant", "stages.read.schedule.kind")]
    [InlineData("data.shorter", "{vew: short}", "did you mean 'view'?", "data.shorter.vew")]
    [InlineData("data.shorter.distinct", "text", "remove it, or write 'files'")]
    [InlineData("data.shorter", "short", "write {files: TEXT}")]
    [InlineData("stages.read.kind", "pretrian", "did you mean 'pretrain'?")]
    [InlineData("stages.read.label", "x", "remove it, or write 'kind: task'")]
    [InlineData("stages.read.zzzzzz", "x", "the keys here are name, optimizer")]
    [InlineData("name", "", "write TEXT")]
    [InlineData("name", "null", "or put the word in quotes")]
    [InlineData("Name", "b", "'name' is there already: remove this one")]
    [InlineData("stages.tell.label", null, "add label: TEXT")]
    [InlineData("tables.tone.classes", "{}", "write classes: {NAME: TEXT}")]
    [InlineData("tables.tone.classes", "{a: null}", "write TEXT", "tables.tone.classes.a")]
    [InlineData("stages.write.method.train", "[]", "write train: [TEXT]")]
    [InlineData("rewards.tones.positions[1]", "four", "write a whole number")]
    [InlineData("rounds", "0", "write a number from 1 to 1000", "rounds.count")]
    [InlineData("stages.please.rewards", "{}", "write rewards: {NAME: NUMBER}")]
    [InlineData("stages.read.batch", "[1]", "write {}")]
    public void A_wrong_setting_is_one_fault_that_says_what_to_type(string path, string? value, string hint, string? at = null) =>
        IsOneFault(sample.With(path, value), at ?? path, hint);

    [Fact]
    public void A_mistyped_key_stands_for_the_one_that_was_meant() =>
        IsOneFault(sample.Renamed("name", "nam"), "nam", "did you mean 'name'?");

    private static void IsOneFault(RecipeBuilder recipe, string path, string hint)
    {
        var fault = Assert.Single(SampleRecipes.Read(recipe.Text).Faults);
        Assert.Equal(path, fault.Path);
        Assert.Contains(hint, fault.Hint, StringComparison.Ordinal);
        Assert.True(fault.Line > 0 && fault.Column > 0 && fault.File == "sample.yaml", fault.ToString());
    }

    [Theory]
    [InlineData("model.layers", "+3")]
    [InlineData("stages.read.optimizer.rate", ".5")]
    [InlineData("stages.read.optimizer", "{rate: 1E-3, clip: 0, kind: 'adamw'}")]
    [InlineData("name", "2024")]
    [InlineData("name", "true")]
    [InlineData("description", "null")]
    [InlineData("description", "")]
    [InlineData("stages.tell.method.verbalizer", "{}")]
    [InlineData("rounds", "3")]
    [InlineData("tokenizer", "{kind: wordPiece, vocabularySize: 300, normalize: false}")]
    [InlineData("tokenizer", "{kind: unigram, vocabularySize: 600}")]
    public void What_has_a_meaning_is_read(string path, string value) =>
        Assert.Empty(SampleRecipes.Read(sample.With(path, value).Text).Faults);

    [Fact]
    public void A_setting_of_null_is_none() =>
        Assert.Empty(SampleRecipes.Read(sample.With("stages.read.steps", "null").With("stages.read.epochs", "2").Text).Faults);
}
