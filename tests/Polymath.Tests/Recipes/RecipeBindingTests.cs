namespace Polymath.Tests.Recipes;

/// <summary>The values of single settings: kinds of values, bounds, known keys.</summary>
[Trait("kind", "unit")]
public sealed class RecipeBindingTests
{
    [Theory]
    [InlineData("layers: 2", "layers: 2.0", "model.layers", "type 2")]
    [InlineData("layers: 2", "layers: 1e3", "model.layers", "type 1000")]
    [InlineData("layers: 2", "layers: 010", "model.layers", "type 10")]
    [InlineData("layers: 2", "layers: 0x10", "model.layers", "write a whole number")]
    [InlineData("layers: 2", "layers: '2'", "model.layers", "remove the quotes")]
    [InlineData("layers: 2", "layers: 99999999999", "model.layers", "write one up to 2147483647")]
    [InlineData("layers: 2", "layers: 0", "model.layers", "write a number from 1 to 1000")]
    [InlineData("layers: 2", "layers: 2000", "model.layers", "write a number from 1 to 1000")]
    [InlineData("layers: 2", "layers: null", "model.layers", "write WHOLE-NUMBER")]
    [InlineData("layers: 2", "layers: [2]", "model.layers", "write WHOLE-NUMBER")]
    [InlineData("layers: 2, ", "", "model.layers", "add layers: WHOLE-NUMBER")]
    [InlineData("{rate: 3e-3}", "{rate: .nan}", "stages.read.optimizer.rate", "write a number")]
    [InlineData("{rate: 3e-3}", "{rate: 1e999}", "stages.read.optimizer.rate", "write a number")]
    [InlineData("{rate: 3e-3}", "{rate: 3e-3, clip: -1}", "stages.read.optimizer.clip", "write 0 or more")]
    [InlineData("{rate: 3e-3}", "{}", "stages.read.optimizer.rate", "add rate: NUMBER")]
    [InlineData("{rate: 3e-3}", "{rate: 3e-3, kind: adam}", "stages.read.optimizer.kind", "did you mean 'adamw'?")]
    [InlineData("{rate: 3e-3}", "3e-3", "stages.read.optimizer", "write {rate: NUMBER}")]
    [InlineData("{kind: lora, r: 4}", "{kind: lora, useRslora: yes}", "stages.tell.method.train.useRslora", "type true")]
    [InlineData("{kind: lora, r: 4}", "{kind: lora, merge: False}", "stages.tell.method.train.merge", "type false")]
    [InlineData("{kind: lora, r: 4}", "{kind: full, r: 4}", "stages.tell.method.train.r", "remove it, or write 'kind: lora'")]
    [InlineData("{kind: lora, r: 4}", "{r: 4}", "stages.tell.method.train", "add kind: full|freeze|lora|delta|adapters|prompt")]
    [InlineData("{kind: lora, r: 4}", "{kin: lora, r: 4}", "stages.tell.method.train.kin", "did you mean 'kind'?")]
    [InlineData("{kind: lora, r: 4}", "{kind: [lora]}", "stages.tell.method.train.kind",
        "the choices here are full, freeze, lora, delta, adapters, prompt")]
    [InlineData(
        "{kind: cosine, warmup: 5}", "{kind: spiral}", "stages.read.schedule.kind", "the choices here are cosine, linear, constant")]
    [InlineData("{view: short}", "{vew: short}", "data.shorter.vew", "did you mean 'view'?")]
    [InlineData("{view: short}", "{view: short, distinct: text}", "data.shorter.distinct", "remove it, or write 'files'")]
    [InlineData("{view: short}", "short", "data.shorter", "write {files: TEXT}")]
    [InlineData("kind: pretrain", "kind: pretrian", "stages.read.kind", "did you mean 'pretrain'?")]
    [InlineData("kind: pretrain", "kind: pretrain\n    label: x", "stages.read.label", "remove it, or write 'kind: task'")]
    [InlineData("kind: pretrain", "kind: pretrain\n    zzzzzz: x", "stages.read.zzzzzz", "the keys here are name, data")]
    [InlineData("name: sample", "nam: sample", "nam", "did you mean 'name'?")]
    [InlineData("name: sample", "name:", "name", "write TEXT")]
    [InlineData("name: sample", "name: null", "name", "or put the word in quotes")]
    [InlineData("name: sample", "name: a\nName: b", "Name", "'name' is there already: remove this one")]
    [InlineData("label: author", "", "stages.tell.label", "add label: TEXT")]
    [InlineData("classes: {a: level, b: oblique}", "classes: {}", "tables.tone.classes", "write classes: {NAME: TEXT}")]
    [InlineData("classes: {a: level, b: oblique}", "classes: {a: null}", "tables.tone.classes.a", "write TEXT")]
    [InlineData("train: \"model.layers.1.*\"", "train: []", "stages.write.method.train", "write train: [TEXT]")]
    [InlineData("positions: [2, 4]", "positions: [2, four]", "rewards.tones.positions[1]", "write a whole number")]
    [InlineData("rounds: {count: 2, stages: [write]}", "rounds: 0", "rounds.count", "write a number from 1 to 1000")]
    [InlineData("rewards: {form: 1, tones: 0.5}", "rewards: {}", "stages.please.rewards", "write rewards: {NAME: NUMBER}")]
    [InlineData("batch: {tokens: 512, microTokens: 256, maxLength: 64}", "batch: [1]", "stages.read.batch", "write {}")]
    public void A_wrong_setting_is_one_fault_that_says_what_to_type(string from, string to, string path, string hint)
    {
        Assert.Contains(from, SampleRecipes.Whole, StringComparison.Ordinal);
        var text = SampleRecipes.Whole.Replace(from, to, StringComparison.Ordinal);
        var fault = Assert.Single(SampleRecipes.Read(text).Faults);
        Assert.Equal(path, fault.Path);
        Assert.Contains(hint, fault.Hint, StringComparison.Ordinal);
        Assert.True(fault.Line > 0 && fault.Column > 0 && fault.File == "sample.yaml", fault.ToString());
    }

    [Theory]
    [InlineData("layers: 2", "layers: +3")]
    [InlineData("{rate: 3e-3}", "{rate: .5}")]
    [InlineData("{rate: 3e-3}", "{rate: 1E-3, clip: 0, kind: 'adamw'}")]
    [InlineData("name: sample", "name: 2024")]
    [InlineData("name: sample", "name: true")]
    [InlineData("name: sample", "name: sample\ndescription: null")]
    [InlineData("name: sample", "name: sample\ndescription:")]
    [InlineData("verbalizer: {words: {Li: [L, i], Du: D}}", "verbalizer: {}")]
    [InlineData("rounds: {count: 2, stages: [write]}", "rounds: 3")]
    [InlineData("tokenizer: {kind: character}", "tokenizer: {kind: wordPiece, vocabularySize: 300, normalize: false}")]
    [InlineData("tokenizer: {kind: character}", "tokenizer: {kind: unigram, vocabularySize: 600}")]
    [InlineData("steps: 20", "steps: null\n    epochs: 2")]
    public void What_has_a_meaning_is_read(string from, string to) =>
        Assert.Empty(SampleRecipes.Read(SampleRecipes.Whole.Replace(from, to, StringComparison.Ordinal)).Faults);
}
