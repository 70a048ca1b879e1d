using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>A run whose last stage trains a head over labels, through the command line.</summary>
[Trait("kind", "invariant")]
public sealed class HeadStageTests : IDisposable
{
    // Only the reading stage of the tiny recipe is kept; a stage with labels replaces the others.
    private readonly TinyRecipe recipe = new(tiny => tiny
        .Without("stages.write", "stages.please", "abilities.form", "abilities.variety")
        .With("stages.tell", """
            name: tell
            kind: task
            label: kind
            text: "{name}: {text}"
            data: lines
            steps: 24
            method: {kind: lora, r: 2, loraDropout: 0.2, targetModules: all-linear, merge: false}
            optimizer: {rate: 2e-2}
            batch: {tokens: 256, microTokens: 100}
            evaluate: {every: 6, abilities: [kinds]}
            checkpoint: {every: 5, best: kinds}
            """));

    public void Dispose() => recipe.Dispose();

    [Fact]
    public void It_learns_resumes_exactly_is_measured_and_labels_texts()
    {
        var whole = recipe.Run("whole");
        Assert.True(whole.Code == 0, whole.All);
        Assert.Contains("Use: polymath classify whole --text TEXT", whole.Out, StringComparison.Ordinal);
        for (var stopped = recipe.Run("parts", "--stop-after-step", "15"); ; stopped = recipe.Run("parts"))
        {
            if (stopped.Out.Contains("Use: polymath classify", StringComparison.Ordinal)) break;
            Assert.True(stopped.Code == 0, stopped.All);
        }
        Assert.Equal(RunFigures.Of(recipe.At("whole", "metrics.jsonl")), RunFigures.Of(recipe.At("parts", "metrics.jsonl")));
        Assert.Equal(recipe.Hash("whole"), recipe.Hash("parts"));
        Assert.Equal(File.ReadAllBytes(recipe.At("whole", "stages", "02-tell", "adapter", "adapter_model.safetensors")), File.ReadAllBytes(
            recipe.At("parts", "stages", "02-tell", "adapter", "adapter_model.safetensors")));

        var configuration = JsonNode.Parse(File.ReadAllText(recipe.At("whole", "stages", "02-tell", "model", "config.json")))!;
        Assert.Equal("LlamaForSequenceClassification", (string?)configuration["architectures"]![0]);
        Assert.Equal(
            ("hard", "soft", "single_label_classification"),
            ((string?)configuration["id2label"]!["0"], (string?)configuration["id2label"]!["1"], (string?)configuration["problem_type"]));
        var rows = JsonNode.Parse(File.ReadAllText(recipe.At("whole", "report.json")))!["abilities"]!.AsArray();
        Assert.Equal(["after,reading", "after,reading", "after,kinds"], rows.Select(
            row => string.Join(',', row!.AsObject().Select(pair => pair.Key))));
        var reached = (double)rows[2]!["kinds"]!;
        Assert.True(reached > 0.8, $"{reached}");
        Assert.Equal(reached, (double)JsonNode.Parse(CliProgram.Run(recipe.Path, "eval", "whole", "--json").Out)!["kinds"]!, 1e-9);
        Assert.Contains(
            "reading cannot be measured: the model has a head over labels",
            CliProgram.Run(recipe.Path, "eval", "whole", "--ability", "reading").Error,
            StringComparison.Ordinal);

        Labels();
    }

    private void Labels()
    {
        recipe.Write(
            "texts.jsonl",
            "{\"text\": \"amabat0: ama ela ona.\", \"id\": 7}\n{\"text\": \"eladok1: bat dok!\"}\n{\"text\": \"x\"}\n");
        var many = CliProgram.Run(recipe.Path, "classify", "whole", "--input", "texts.jsonl", "--rows", "2");
        Assert.Equal((0, ""), (many.Code, many.Error));
        var answers = many.Out.TrimEnd().Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(3, answers.Count);
        Assert.Equal(7, (int)answers[0]["id"]!);
        Assert.Equal(["soft", "hard"], answers.Take(2).Select(answer => (string)answer["classified"]!["label"]!));
        Assert.All(
            answers, answer => Assert.Equal(1, answer["classified"]!["probabilities"]!.AsObject().Sum(pair => (double)pair.Value!), 1e-5));
        var one = CliProgram.Run(recipe.Path, "classify", "whole", "--text", "eladok1: bat dok!", "--json");
        Assert.Equal(answers[1]["classified"]!.ToJsonString(), JsonNode.Parse(one.Out)!["classified"]!.ToJsonString());
        Assert.StartsWith(
            "hard ", CliProgram.Run(recipe.Path, "classify", "whole", "--text", "eladok1: bat dok!").Out, StringComparison.Ordinal);
        foreach (var (arguments, refusal) in new (string[], string)[]
        {
            (["classify", "whole", "--stage", "read", "--text", "x"], "no head over labels"),
            (["classify", "whole", "--text", ""], "The text is empty"),
            (["classify", "whole", "--text", "x", "--input", "texts.jsonl"], "there is no field 'x', which --text names"),
            (["classify", "whole", "--text", "x", "--format", "csv"], "--format is for the rows of --input"),
            (["chat", "whole"], "polymath classify FOLDER --text TEXT"),
            (["generate", "whole", "--prompt", "x"], "polymath classify FOLDER --text TEXT"),
        })
        {
            var result = CliProgram.Run(recipe.Path, arguments);
            Assert.Equal(2, result.Code);
            Assert.Contains(refusal, result.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Rows_of_one_label_are_refused_before_the_first_step()
    {
        recipe.Write("lines.jsonl", string.Concat(
            Enumerable.Range(0, 40).Select(i => $"{{\"name\": \"n{i}\", \"text\": \"abc\", \"kind\": \"soft\"}}\n")));
        var result = recipe.Run("one");
        Assert.Equal(2, result.Code);
        Assert.Contains("the training rows have one label, 'soft'", result.Error, StringComparison.Ordinal);
    }
}
