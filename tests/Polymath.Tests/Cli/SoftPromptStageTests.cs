using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

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

    private void Recipe(string family, string method, int steps = 3) => folder.Write(
        "one.yaml",
        RecipeBuilder.Named("one").Model($"folder: \"{PromptModels.Save(folder, family)}\"")
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
    [InlineData("bert-mlm", "template: '{soft:2} it {mask} {text} {soft|id:1} {soft|id:1}', encoder: lstm, train: {kind: freeze}",
        "new_lstm_head.weight_ih_l1_reverse")]
    [InlineData("gpt2", "template: '{text} {soft:3|same} it was{mask}', encoder: mlp, rate: 0.02, train: {kind: lora, r: 2, merge: false}",
        "new_mlp_head.2.bias")]
    [InlineData("t5", "template: '{soft:2} {text} it was {mask} {soft:\"today\"}', train: {kind: full}", "soft_embedding.weight")]
    [InlineData("bert-mlm", "template: '{soft} {text} it was {mask}', train: {kind: delta, form: promptTuning, settings: "
        + "{num_virtual_tokens: 2}}", "soft_embedding.weight")]
    [InlineData("t5", "template: '{text} it was {mask}', verbalizer: {kind: soft, words: {soft: [soft, a]}}, train: {kind: freeze}",
        "verbalizer.weight")]
    [InlineData("bert-mlm", "template: '{text} it was {mask}', verbalizer: {kind: prototypes, width: 4, each: 4, epochs: 3}, "
        + "train: {kind: freeze}", "verbalizer.prototypes")]
    [InlineData("bert-mlm", "template: '{text} it was {mask}', verbalizer: {kind: knowledge, words: {soft: [soft, mild, a], hard: [hard, "
        + "b, was]}, leastShare: 0.1}, train: {kind: freeze}", "verbalizer.weights")]
    [InlineData("gpt2", "template: '{text} it was{mask}', verbalizer: {kind: search, each: 2, calibrate: {kind: contextual, rows: 9}}",
        "verbalizer.prior")]
    [InlineData("t5", "template: '{mask} {soft} {text} {mask}', verbalizer: {kind: rules, words: {soft: [it, soft], hard: [was, hard]}}",
        "soft_embedding.weight")]
    [InlineData("gpt2", "template: '{text} {soft} was{mask}', verbalizer: {kind: texts, texts: {soft: ['{text} is soft', mild]}}, train: "
        + "{kind: freeze}, demonstrations: {each: 2, between: ' '}", "soft_embedding.weight")]
    [InlineData("bert-mlm", "prompts: ['{text} it was {mask}', {template: '{mask} {soft} {text}', verbalizer: {words: {soft: mild}}}], "
        + "together: learned, train: {kind: freeze}, demonstrations: {like: bm25, contexts: 2, from: 3}", "together.weights")]
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

    // The later stage has a model of its own, whose vectors choose.
    [Fact]
    public void Demonstrations_by_vectors_follow_the_model_that_is_measured()
    {
        folder.Write(
            "two.yaml",
            RecipeBuilder.Named("two").Model($"folder: \"{PromptModels.Save(folder, "gpt2")}\"")
                .Data("rows", "files: rows.jsonl", "validation: valid.jsonl")
                .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
                .Stage(
                    "one",
                    "task",
                    "label: kind",
                    "data: rows",
                    "steps: 2",
                    "optimizer: {rate: 0.05}",
                    "evaluate: {samples: 0}",
                    "method: {kind: prompt, template: '{text}{mask}', demonstrations: {like: vectors}, train: {kind: full}}")
                .Stage("read", "pretrain", "data: rows", "steps: 2", "optimizer: {rate: 0.05}", "evaluate: {samples: 0}").Text);
        var whole = Run("run", "two.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var step in new[] { "1", "2" }) Run("run", "two.yaml", "--run-dir", "parts", "--stop-after-step", step);
        var resumed = Run("run", "two.yaml", "--run-dir", "parts");
        Assert.True(resumed.Code == 0, resumed.All);
        double Kinds(string run, string stage) => (double)JsonNode.Parse(
            File.ReadAllText(folder.At(run, "stages", stage, "report.json")))!["abilities"]!["kinds"]!;
        foreach (var stage in new[] { "01-one", "02-read" }) Assert.Equal(Kinds("whole", stage), Kinds("parts", stage), 12);
    }

    [Fact]
    public void Evaluating_a_stage_reads_what_its_prompt_has_learned()
    {
        Recipe("bert-mlm", "template: '{soft:2} it {mask} {text}', verbalizer: {kind: soft, words: {soft: mild}}, train: {kind: freeze}");
        var whole = Run("run", "one.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        var again = Run("eval", "whole", "--stage", "one", "--json");
        Assert.True(again.Code == 0, again.All);
        Assert.Equal(Measured("whole"), (double)JsonNode.Parse(again.Out)!["kinds"]!, 12);
    }

    [Fact]
    public void Later_models_are_measured_by_what_a_prompt_has_learned_and_a_later_round_goes_on_from_it()
    {
        folder.Write(
            "two.yaml",
            RecipeBuilder.Named("two").Model($"folder: \"{PromptModels.Save(folder, "gpt2")}\"")
                .Data("rows", "files: rows.jsonl", "validation: valid.jsonl")
                .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
                .With("rounds", "{count: 2, stages: [one, read]}")
                .Stage(
                    "one",
                    "task",
                    "label: kind",
                    "data: rows",
                    "steps: 2",
                    "optimizer: {rate: 0.05}",
                    "evaluate: {samples: 0}",
                    "method: {kind: prompt, template: '{soft:\"it\"} {text}{mask}', train: {kind: freeze}}")
                .Stage("read", "pretrain", "data: rows", "steps: 1", "optimizer: {rate: 0}", "evaluate: {samples: 0}").Text);
        var whole = Run("run", "two.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var step in new[] { "2", "3", "4" }) Run("run", "two.yaml", "--run-dir", "parts", "--stop-after-step", step);
        var resumed = Run("run", "two.yaml", "--run-dir", "parts");
        Assert.True(resumed.Code == 0, resumed.All);
        string Of(string run, string stage, string file) => folder.At(run, "stages", stage, file);
        foreach (var stage in new[] { "01-one", "02-read", "03-one.2", "04-read.2" })
        {
            double Kinds(string run) => (double)JsonNode.Parse(File.ReadAllText(Of(run, stage, "report.json")))!["abilities"]!["kinds"]!;
            Assert.Equal(Kinds("whole"), Kinds("parts"), 12);
        }
        using SafetensorsFile first = SafetensorsFile.Open(Of("whole", "01-one", "model/task.safetensors")),
            second = SafetensorsFile.Open(Of("whole", "03-one.2", "model/task.safetensors")),
            again = SafetensorsFile.Open(Of("parts", "03-one.2", "model/task.safetensors"));
        const string Name = "soft_embedding.weight";
        Assert.Equal(second.Map(Name).data<float>().ToArray(), again.Map(Name).data<float>().ToArray());
        // Adam's first steps are as long as the rate: two of them from the first round's vectors.
        Assert.InRange((second.Map(Name) - first.Map(Name)).abs().max().item<float>(), 1e-4, 0.1001);
    }

    // A rate of 0 leaves what the round starts from.
    [Theory]
    [InlineData("kind: task, label: kind, data: rows")]
    [InlineData("kind: mix, terms: [{name: ask, kind: task, label: kind, data: rows}, {name: read, kind: pretrain, data: rows}]")]
    [InlineData("from: read, kind: mix, terms: [{name: ask, kind: task, label: kind, data: rows}, {name: on, kind: pretrain, data: rows}]")]
    public void A_later_round_begins_with_what_the_prompt_has_learned(string learned)
    {
        folder.Write(
            "two.yaml",
            RecipeBuilder.Named("two").Model($"folder: \"{PromptModels.Save(folder, "gpt2")}\"")
                .Data("rows", "files: rows.jsonl", "validation: valid.jsonl")
                .With("rounds", "{count: 2, changes: {2: {one: {optimizer: {rate: 0}, steps: 1}}}}")
                .With("stages", "[{name: read, kind: pretrain, data: rows, steps: 1, optimizer: {rate: 0}, evaluate: {samples: 0}}, "
                    + $"{{name: one, {learned}, steps: 2, optimizer: {{rate: 0.05}}, evaluate: {{samples: 0}}, method: {{kind: prompt, "
                    + "template: '{soft:\"it\"} {text}{mask}', verbalizer: {kind: soft}, train: {kind: freeze}}}]").Text);
        var whole = Run("run", "two.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        SafetensorsFile Of(string stage) => SafetensorsFile.Open(folder.At("whole", "stages", stage, "model/task.safetensors"));
        using SafetensorsFile first = Of("02-one"), second = Of("04-one.2");
        foreach (var name in new[] { "soft_embedding.weight", "verbalizer.weight" })
            Assert.Equal(first.Map(name).data<float>().ToArray(), second.Map(name).data<float>().ToArray());
    }

    // The report's figure and that of eval are measured by one task: that of the model's own round.
    [Fact]
    public void Evaluating_a_round_s_model_asks_by_the_task_of_that_round()
    {
        folder.Write(
            "two.yaml",
            RecipeBuilder.Named("two").Model($"folder: \"{PromptModels.Save(folder, "gpt2")}\"")
                .Data("rows", "files: rows.jsonl", "validation: valid.jsonl")
                .With("abilities", "{kinds: {kind: accuracy, stage: one, rows: 8}}")
                .With("rounds", "{count: 2, changes: {2: {one: {steps: 4, optimizer: {rate: 1}}}}}")
                .Stage(
                    "one",
                    "task",
                    "label: kind",
                    "data: rows",
                    "steps: 1",
                    "optimizer: {rate: 0.05}",
                    "evaluate: {samples: 0}",
                    "method: {kind: prompt, template: '{soft} {text}{mask}', verbalizer: {kind: soft}, train: {kind: freeze}}").Text);
        var whole = Run("run", "two.yaml", "--run-dir", "whole");
        Assert.True(whole.Code == 0, whole.All);
        foreach (var (stage, place) in new[] { ("one", "01-one"), ("one.2", "02-one.2") })
        {
            var again = Run("eval", "whole", "--stage", stage, "--json");
            Assert.True(again.Code == 0, again.All);
            var report = JsonNode.Parse(File.ReadAllText(folder.At("whole", "stages", place, "report.json")))!;
            Assert.Equal((double)report["abilities"]!["kinds"]!, (double)JsonNode.Parse(again.Out)!["kinds"]!, 12);
        }
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
