using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Task stages that score texts behind labels' words: trained, stopped, measured, asked; and what is refused.</summary>
[Trait("kind", "invariant")]
public sealed class ChannelStageTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public ChannelStageTests() => folder.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(i =>
        $"{{\"text\": \"{(i % 2 == 0 ? "a a" : "b b")} {i % 5}\", \"kind\": \"{(i % 2 == 0 ? "soft" : "hard")}\"}}\n")));

    public void Dispose() => folder.Dispose();

    private void Recipe(string family, string method) => folder.Write("one.yaml", RecipeBuilder.Named("one")
        .Model($"folder: \"{PromptModels.Save(folder, family)}\"")
        .Data("rows", "files: rows.jsonl", "split: {validation: 0.2}")
        .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
        .Stage(
            "one",
            "task",
            "label: kind",
            "data: rows",
            "steps: 12",
            "optimizer: {rate: 1e-2}",
            "batch: {rows: 8, maxLength: 24}",
            "evaluate: {samples: 0, every: 4, abilities: [kinds]}",
            "checkpoint: {every: 5}",
            $"method: {{kind: prompt, {method}}}").Text);

    private CliResult Run(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    private JsonNode Report(string run) => JsonNode.Parse(File.ReadAllText(folder.At(run, "stages", "01-one", "report.json")))!;

    [Theory]
    [InlineData("gpt2", "template: '{soft:3} {mask}: {text}', score: channel, train: {kind: freeze}, rate: 1e-1")]
    [InlineData("gpt2", "template: '{mask}: {text}', score: channel, train: {kind: lora, r: 2}, demonstrations: {each: 1}")]
    [InlineData("t5", "prompts: ['{mask}: {text}', {template: '{text} it was {mask}', score: direct}], score: channel, together: accuracy")]
    public void A_channel_is_trained_resumes_exactly_is_measured_and_classifies(string family, string method)
    {
        Recipe(family, method);
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        var stopped = Run("run", "one.yaml", "--run-dir", "parts", "--stop-after-step", "7");
        Assert.True(stopped.Code is 0 or 130, stopped.All);
        var again = Run("run", "one.yaml", "--run-dir", "parts");
        Assert.True(again.Code == 0, again.All);
        Assert.Equal(RunFigures.Of(folder.At("whole", "metrics.jsonl")), RunFigures.Of(folder.At("parts", "metrics.jsonl")));
        var report = Report("whole")["report"]!;
        Assert.True((double)report["lastLoss"]! < (double)report["firstLoss"]!, report.ToJsonString());
        folder.Write("rows.csv", "text,kind\na a 1,soft\nb b 2,hard\nb b 3,hard\n");
        var answered = Run("classify", "whole", "--stage", "one", "--input", "rows.csv", "--why");
        Assert.True(answered.Code == 0, answered.All);
        var rows = answered.Out.TrimEnd('\n').Split('\n').Select(line => JsonNode.Parse(line)!["classified"]!).ToList();
        Assert.All(rows, row => Assert.Equal(1, row["probabilities"]!.AsObject().Sum(pair => (double)pair.Value!), 1e-5));
        Assert.InRange((double)Report("whole")["abilities"]!["kinds"]!, 0, 1);
        // The same model without the setting is another task.
        var task = JsonNode.Parse(File.ReadAllText(folder.At("whole", "stages", "01-one", "model", "task.json")))!;
        Assert.Equal("Channel", (string?)task["prompts"]![0]!["score"]);
        Assert.Equal(0, Run("prompt", "preview", "one.yaml", "--stage", "one").Code);
    }

    [Fact]
    public void What_a_channel_has_learned_tells_labels_apart()
    {
        Recipe("gpt2", "template: '{mask}: {text}', score: channel");
        var ran = Run("run", "one.yaml", "--run-dir", "run", "--set", "stages.one.steps=40");
        Assert.True(ran.Code == 0, ran.All);
        Assert.True((double)Report("run")["abilities"]!["kinds"]! > 0.9, Report("run").ToJsonString());
        var shown = Run("prompt", "preview", "one.yaml", "--stage", "one");
        Assert.Matches("\nanswer +(soft|hard)\n", shown.Out);
    }

    [Theory]
    [InlineData("gpt2", "template: '{text} is {mask}', score: channel", "method.template", "no field follows {mask}")]
    [InlineData("gpt2", "template: '{mask}: {text}'", "", "text follows {mask}, but a gpt2 reads")]
    [InlineData("bert-mlm", "template: '{mask}: {text}', score: channel", "", "a bert reads in both directions")]
    [InlineData("gpt2", "template: '{mask}: {text}', score: channel, verbalizer: {kind: soft}", "method.verbalizer", "of the kind soft")]
    [InlineData("gpt2", "template: '{mask}: {text}', score: channel, verbalizer: {read: mean}", "verbalizer.read", "writes words whole")]
    [InlineData(
        "gpt2",
        "template: '{mask}: {text}', score: channel, verbalizer: {contentFree: N/A}",
        "verbalizer.contentFree",
        "takes every label as equally probable")]
    [InlineData(
        "gpt2",
        "prompts: ['{mask}: {text}', '{mask} {text}'], score: channel, verbalizer: {calibrate: {kind: pmi}}",
        "verbalizer.calibrate",
        "takes every label as equally probable")]
    [InlineData(
        "gpt2",
        "prompts: ['{mask}: {text}', '{mask} {text}'], score: channel, together: learned",
        "method.together",
        "learns the texts'")]
    public void What_cannot_be_asked_is_refused_before_the_first_step(string family, string method, string place, string problem)
    {
        Recipe(family, method);
        var ran = Run("run", "one.yaml", "--run-dir", "run");
        Assert.Equal(2, ran.Code);
        Assert.Contains(place, ran.Error, StringComparison.Ordinal);
        Assert.Contains(problem, ran.Error, StringComparison.Ordinal);
        if (problem.StartsWith("of the kind", StringComparison.Ordinal)) return;
        Recipe("gpt2", "template: '{mask}: {text}', score: channel");
        var searched = Run("prompt", "search", "one.yaml", "--stage", "one", "--kind", "words", "--run-dir", "search");
        Assert.Contains("has score: channel", searched.Error, StringComparison.Ordinal);
    }
}
