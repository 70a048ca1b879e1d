using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Stages on unsuitable models: reported before the first step instead of useless training.</summary>
[Trait("kind", "invariant")]
public sealed class FamilyStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_tokenizer_of_more_tokens_than_the_model_is_refused()
    {
        folder.Write("rows.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"abd\"}\n");
        folder.Write("one.yaml", $"""
            name: one
            model: {"{folder: \""}{TextFixtures.At("models", "llama")}{"\"}"}
            tokenizer: {"{kind: byteLevelBpe, vocabularySize: 300}"}
            data: {"{rows: {files: rows.jsonl}}"}
            stages:
              - {"{name: one, kind: pretrain, data: rows, steps: 1, optimizer: {rate: 1e-2}}"}
            """);
        var result = CliProgram.Run(folder.Path, "run", "one.yaml", "--run-dir", "run");
        Assert.Equal(2, result.Code);
        Assert.Contains("tokens, the model 199: they do not belong together", result.Error, StringComparison.Ordinal);
    }

    private const string Asks = "kind: task\n    label: kind\n    method: {kind: prompt, template: \"{text} {mask}\", verbalizer: {words: "
        + "{soft: a, hard: b}}, train: {kind: delta, form: lora}}";

    private const string Heads = "kind: task\n    label: kind\n    method: {kind: delta, form: lora}";

    [Theory]
    [InlineData("bert-mlm", "kind: pretrain\n    method: {kind: delta, form: lora}", "a bert reads in both directions")]
    [InlineData("bert-classify", "kind: pretrain\n    method: {kind: delta, form: lora}", "a bert with a head over labels")]
    [InlineData("bert-classify", Asks, "a bert with a head over labels")]
    [InlineData("t5", Asks, "a t5 writes its answer apart from its input")]
    [InlineData("bert-mlm", Asks, null)]
    [InlineData("bert-mlm", Heads, null)]
    [InlineData("t5", Heads, null)]
    [InlineData(
        "bert-classify", Heads, "the rows have the labels 'hard', 'soft', which the model's head does not have; its labels are LABEL_0")]
    [InlineData("t5", "kind: finetune\n    prompt: \"{kind}\"\n    answer: \"{text}\"\n    method: {kind: delta, form: lora}", null)]
    public void A_stage_that_a_family_cannot_learn_is_refused(string family, string stage, string? refusal)
    {
        folder.Write("rows.jsonl", string.Concat(
            Enumerable.Range(0, 40).Select(i => $"{{\"text\": \"a b {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));
        folder.Write("one.yaml", $"""
            name: one
            model: "{TextFixtures.At("models", family)}"
            tokenizer: {"{kind: wordPiece, vocabularySize: 60}"}
            data:
              rows: {"{files: rows.jsonl, split: {validation: 0.1}}"}
            stages:
              - name: one
                data: rows
                steps: 2
                optimizer: {"{rate: 1e-2}"}
                batch: {"{tokens: 64}"}
                evaluate: {"{samples: 0}"}
                {stage}
            """.Replace("model: \"", "model: {folder: \"", StringComparison.Ordinal)
            .Replace($"{family}\"", $"{family}\"}}", StringComparison.Ordinal));
        var result = CliProgram.Run(folder.Path, "run", "one.yaml", "--run-dir", "run");
        Assert.Equal(refusal is null ? 0 : 2, result.Code);
        if (refusal is not null) Assert.Contains(refusal, result.Error, StringComparison.Ordinal);
    }
}
