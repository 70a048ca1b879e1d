using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Cli;

/// <summary>Prompts with weights of their own: what they train, that a resumed stage is the uninterrupted one, and what is saved.</summary>
[Trait("kind", "invariant")]
public sealed class SoftPromptStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public SoftPromptStageTests()
    {
        folder.Write("rows.jsonl", Rows(24));
        folder.Write("valid.jsonl", Rows(8));
    }

    private static string Rows(int count) => string.Concat(Enumerable.Range(0, count).Select(i =>
        $"{{\"text\": \"{(i % 2 == 0 ? "a b a" : "b b b")} {i % 5}\", \"kind\": \"{(i % 3 == 0 ? "soft" : "hard")}\"}}\n"));

    public void Dispose() => folder.Dispose();

    // A small model of a family with a tokenizer that has the tokens its prompts need.
    private string Model(string family)
    {
        var place = folder.At(family);
        Directory.CreateDirectory(place);
        foreach (var file in Directory.GetFiles(TextFixtures.At("models", family)))
            File.Copy(file, Path.Combine(place, Path.GetFileName(file)), overwrite: true);
        WordPieceTrainer.Train(
            ["a b it was soft hard today . 0 1 2 3 4"], 90, 0, ["[UNK]", "[MASK]", "<extra_id_0>", "<extra_id_1>", .. ChatTemplate.Specials])
            .Save(place);
        return place;
    }

    private void Recipe(string family, string method, int steps = 3) => folder.Write(
        "one.yaml",
        RecipeBuilder.Named("one").Model($"folder: \"{Model(family)}\"")
            .Data("rows", "files: rows.jsonl", "validation: valid.jsonl")
            .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
            .Stage(
                "one",
                "task",
                "label: kind",
                "data: rows",
                $"steps: {steps}",
                "optimizer: {rate: 1e-2}",
                "batch: {tokens: 64, maxLength: 30}",
                "evaluate: {samples: 0}",
                $"method: {{kind: prompt, {method}}}").Text);

    private CliResult Run(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    [Theory]
    [InlineData("bert-mlm", "template: '{soft:\"it was\"} {mask} {soft} {text}', train: {kind: freeze}", "soft_embedding.weight")]
    [InlineData("bert-mlm", "template: '{soft:2} it {mask} {text} {soft|id:1} {soft|id:1}', encoder: lstm, train: {kind: freeze}",
        "new_lstm_head.weight_ih_l1_reverse")]
    [InlineData("gpt2", "template: '{text} {soft:3|same} it was{mask}', encoder: mlp, rate: 0.02, train: {kind: lora, r: 2, merge: false}",
        "new_mlp_head.2.bias")]
    [InlineData("t5", "template: '{soft:2} {text} it was {mask} {soft:\"today\"}', train: {kind: full}", "soft_embedding.weight")]
    [InlineData("bert-mlm", "template: '{soft} {text} it was {mask}', train: {kind: delta, form: promptTuning, settings: {num_virtual_tokens: 2}}",
        "soft_embedding.weight")]
    [InlineData("bert-mlm", "template: '{text} it was {mask}', verbalizer: {kind: soft}, train: {kind: freeze}", "verbalizer.weight")]
    [InlineData("t5", "template: '{text} it was {mask}', verbalizer: {kind: soft, words: {soft: [soft, a]}}, train: {kind: freeze}",
        "verbalizer.weight")]
    public void A_stage_that_was_stopped_ends_as_one_that_was_not(string family, string method, string weight)
    {
        Recipe(family, method);
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        var stopped = Run("run", "one.yaml", "--run-dir", "parts", "--stop-after-step", "2");
        Assert.True(stopped.Code == 0, stopped.All);
        var resumed = Run("run", "one.yaml", "--run-dir", "parts");
        Assert.True(resumed.Code == 0, resumed.All);
        foreach (var file in new[] { "task.safetensors", "task.json" })
            Assert.Equal(File.ReadAllBytes(Saved("whole", file)), File.ReadAllBytes(Saved("parts", file)));
        using var task = SafetensorsFile.Open(Saved("whole", "task.safetensors"));
        Assert.Contains(weight, task.Entries.Keys);
        // Classifying reads the saved task; the stage's own measurement read the trained one.
        Assert.Equal(Measured("whole"), Classified("whole"), 9);
        Assert.Equal(Measured("whole"), Measured("parts"), 12);
    }

    private string Saved(string run, string file) => folder.At(run, "stages", "01-one", "model", file);

    private double Measured(string run) => (double)JsonNode.Parse(
        File.ReadAllText(folder.At(run, "stages", "01-one", "report.json")))!["abilities"]!["kinds"]!;

    // The accuracy of the saved task over the rows that the ability measures.
    private double Classified(string run)
    {
        var answers = Run("classify", run, "--stage", "one", "--input", "valid.jsonl");
        Assert.True(answers.Code == 0, answers.All);
        var rows = answers.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(8, rows.Count);
        return rows.Average(row => (string?)row["kind"] == (string?)row["classified"]!["label"] ? 1.0 : 0.0);
    }
}
