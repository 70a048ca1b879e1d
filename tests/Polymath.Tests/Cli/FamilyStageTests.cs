using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Stages on unsuitable models: reported before the first step instead of useless training.</summary>
[Trait("kind", "invariant")]
public sealed class FamilyStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private CliResult Run(RecipeBuilder recipe)
    {
        folder.Write("one.yaml", recipe.Text);
        return CliProgram.Run(folder.Path, "run", "one.yaml", "--run-dir", "run");
    }

    [Fact]
    public void A_tokenizer_of_more_tokens_than_the_model_is_refused()
    {
        folder.Write("rows.jsonl", "{\"text\": \"abc\"}\n{\"text\": \"abd\"}\n");
        var result = Run(RecipeBuilder.Named("one").Model($"folder: \"{TextFixtures.At("models", "llama")}\"")
            .Tokenizer("kind: byteLevelBpe", "vocabularySize: 300")
            .Data("rows", "files: rows.jsonl")
            .Stage("one", "pretrain", "data: rows", "steps: 1", "optimizer: {rate: 1e-2}"));
        Assert.Equal(2, result.Code);
        Assert.Contains("tokens, the model 199: they do not belong together", result.Error, StringComparison.Ordinal);
    }

    private const string Lora = "{kind: delta, form: lora}";

    private const string Asks = "{kind: prompt, template: \"{text} {mask}\", verbalizer: {words: {soft: a, hard: b}}, train: " + Lora + "}";

    [Theory]
    [InlineData("bert-mlm", "pretrain", Lora, "a bert reads in both directions and learns masked words, and the tokenizer has no mask")]
    [InlineData("bert-mlm", "finetune", Lora, "a bert reads in both directions and sees", "prompt: \"{kind}\"", "answer: \"{text}\"")]
    [InlineData("t5", "pretrain", Lora, "a t5 learns what is missing at gaps, and the tokenizer has no token <extra_id_0>")]
    [InlineData("gpt2", "pretrain", Lora, "a gpt2 reads forward and learns every next token", "mask: {share: 0.2}")]
    [InlineData("bert-classify", "pretrain", Lora, "a bert with a head over labels")]
    [InlineData("bert-classify", "task", Asks, "a bert with a head over labels", "label: kind")]
    [InlineData("t5", "task", Asks, "a t5 reads the answer at <extra_id_0>, and the tokenizer has no such token", "label: kind")]
    [InlineData("bert-mlm", "task", Asks, "a bert reads the answer at its mask token, and the tokenizer has none", "label: kind")]
    [InlineData("bert-mlm", "task", Lora, null, "label: kind")]
    [InlineData("t5", "task", Lora, null, "label: kind")]
    [InlineData("bert-classify", "task", Lora,
        "the rows have the labels 'hard', 'soft', which the model's head does not have; its labels are LABEL_0", "label: kind")]
    [InlineData("t5", "finetune", Lora, null, "prompt: \"{kind}\"", "answer: \"{text}\"")]
    public void A_stage_that_a_family_cannot_learn_is_refused(
        string family,
        string kind,
        string method,
        string? refusal,
        params string[] reading)
    {
        folder.Write("rows.jsonl", string.Concat(
            Enumerable.Range(0, 40).Select(i => $"{{\"text\": \"a b {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));
        var result = Run(RecipeBuilder.Named("one").Model($"folder: \"{TextFixtures.At("models", family)}\"")
            .Tokenizer("kind: wordPiece", "vocabularySize: 60")
            .Data("rows", "files: rows.jsonl", "split: {validation: 0.1}")
            .Stage("one", kind, ["data: rows", "steps: 2", "optimizer: {rate: 1e-2}", "batch: {tokens: 64}", "evaluate: {samples: 0}",
                $"method: {method}", .. reading]));
        Assert.Equal(refusal is null ? 0 : 2, result.Code);
        if (refusal is not null) Assert.Contains(refusal, result.Error, StringComparison.Ordinal);
    }
}
