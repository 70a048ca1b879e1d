using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;

namespace Polymath.Tests.Cli;

/// <summary>Fresh models that read in both directions: hidden words, exact resuming, and a prompt that reads from it.</summary>
[Trait("kind", "invariant")]
public sealed class HiddenStageTests : IDisposable
{
    private static readonly (string Thing, string Colour)[] facts =
        [("sky", "blue"), ("grass", "green"), ("snow", "white"), ("coal", "black"), ("sea", "blue"), ("leaf", "green")];

    private readonly ScratchFolder folder = new();

    public HiddenStageTests() => folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 120).Select(i =>
    {
        var (thing, colour) = facts[i % facts.Length];
        return $"{{\"id\": \"{i}\", \"text\": \"the {thing} is {colour}\", \"thing\": \"{thing}\", \"colour\": \"{colour}\"}}\n";
    })));

    public void Dispose() => folder.Dispose();

    private CliResult Run(string run, params string[] more) =>
        CliProgram.Run(folder.Path, ["run", "one.yaml", "--run-dir", run, .. more]);

    private void Write(
        string model,
        string tokenizer,
        int steps,
        string read = "mask: {share: 0.2}",
        string batch = "fill: false") =>
        folder.Write("one.yaml", RecipeBuilder.Named("one").Model(model).Tokenizer(tokenizer)
            .Data("rows", "files: rows.jsonl", "split: {validation: 0.2}")
            .With("abilities", "{reading: {kind: perplexity, stage: read, rows: 20}, colours: {kind: accuracy, stage: ask, rows: 20}}")
            .Stage(
                "read",
                "pretrain",
                "data: rows",
                $"steps: {steps}",
                read,
                "optimizer: {rate: 3e-3}",
                $"batch: {{tokens: 640, microTokens: 400, {batch}}}",
                "checkpoint: {every: 100}",
                "evaluate: {every: 100, samples: 1, abilities: [reading]}")
            .Stage(
                "ask",
                "task",
                "label: colour",
                "data: rows",
                "steps: 1",
                "optimizer: {rate: 1e-9}",
                "evaluate: {samples: 0}",
                "batch: {tokens: 64}",
                "method: {kind: prompt, template: 'the {thing} is {mask}', verbalizer: {}}").Text);

    private const string Sizes = "hiddenSize: 32, intermediateSize: 64, layers: 1, heads: 2, contextLength: 24";

    [Theory]
    [InlineData("bert", "kind: wordPiece, vocabularySize: 90", "[MASK]", "[CLS]", 0.3)]
    [InlineData("roberta", "kind: wordPiece, vocabularySize: 90", "<mask>", "<s>", 0.3)]
    [InlineData("t5", "kind: wordPiece, vocabularySize: 200", "<extra_id_0>", null, 0.2)]
    public void A_fresh_model_learns_from_hidden_words_what_a_prompt_then_reads(
        string family,
        string tokenizer,
        string mark,
        string? open,
        double share)
    {
        Write($"family: {family}, {Sizes}", tokenizer, 200, $"mask: {{share: {share}}}");
        var ran = Run("run");
        Assert.True(ran.Code == 0, ran.All);
        JsonNode Report(string stage) => JsonNode.Parse(File.ReadAllText(folder.At("run", "stages", stage, "report.json")))!;
        Assert.True((double)Report("01-read")["abilities"]!["reading"]! < 2, ran.All);
        Assert.InRange((double)Report("02-ask")["abilities"]!["colours"]!, 0.9, 1);
        Assert.Contains(mark, File.ReadAllText(folder.At("run", "samples.jsonl")), StringComparison.Ordinal);
        var read = Tokenizer.Load(folder.At("run", "stages", "01-read", "model"));
        int[] bare = read.Encode("sky"), whole = read.Encode("sky", addSpecialTokens: true);
        Assert.Equal([.. open is null ? [] : new[] { read.IdOf(open)!.Value }, .. bare, whole[^1]], whole);
    }

    [Theory]
    [InlineData("bert", "kind: wordPiece, vocabularySize: 90", 5)]
    [InlineData("t5", "kind: wordPiece, vocabularySize: 200", 6)]
    public void A_stopped_run_hides_the_same_words(string family, string tokenizer, int step)
    {
        Write(
            $"family: {family}, {Sizes}",
            tokenizer,
            8,
            "text: '{text}'",
            "fill: true");
        Assert.True(Run("whole") is { Code: 0 } whole, "the whole run");
        Assert.Equal(0, Run("parts", "--stop-after-step", $"{step}").Code);
        Assert.Equal(0, Run("parts").Code);
        foreach (var stage in new[] { "01-read", "02-ask" })
            Assert.Equal(
                File.ReadAllBytes(folder.At("whole", "stages", stage, "model", "model.safetensors")),
                File.ReadAllBytes(folder.At("parts", "stages", stage, "model", "model.safetensors")));
        Assert.Equal(RunFigures.Of(folder.At("whole", "metrics.jsonl")), RunFigures.Of(folder.At("parts", "metrics.jsonl")));
        Assert.Equal(0, Run("packed", "--set", "stages.read.batch.microTokens=24").Code);
        string First(string run) => File.ReadLines(folder.At(run, "metrics.jsonl"))
            .First(line => line.Contains("\"loss\"", StringComparison.Ordinal));
        double Loss(string run) => (double)JsonNode.Parse(First(run))!["value"]!;
        Assert.Equal(Loss("whole"), Loss("packed"), 1e-4);
    }

    [Theory]
    [InlineData("bert", "mask: {span: 2}", "mask.span is for models that learn gaps")]
    [InlineData("t5", "mask: {random: 0.2}", "mask.masked and mask.random are for masked models")]
    [InlineData("bert", "mask: {masked: 0.8, random: 0.3}", "are more than all")]
    public void What_cannot_be_hidden_is_refused_before_the_first_step(string family, string read, string problem)
    {
        Write($"family: {family}, {Sizes}", "kind: wordPiece, vocabularySize: 200", 2, read);
        var ran = Run("run");
        Assert.Equal(2, ran.Code);
        Assert.Contains(problem, ran.Error, StringComparison.Ordinal);
    }
}
