using System.Text.Json.Nodes;
using Polymath.Tests.Text;
using Polymath.Runs.Reports;

namespace Polymath.Tests.Cli;

/// <summary>Every verb on a finished run.</summary>
[Trait("kind", "invariant")]
[Collection(FinishedRun.Collection)]
public sealed class VerbTests(FinishedRun finished)
{
    private readonly TinyRecipe recipe = finished.Recipe;

    private CliResult Do(params string[] arguments)
    {
        var result = CliProgram.Run(recipe.Path, arguments);
        Assert.True(result.Code == 0, result.All);
        return result;
    }

    [Fact]
    public void A_run_tells_its_stages_and_abilities_and_leaves_a_report()
    {
        Assert.Equal("", finished.Result.Error);
        foreach (var said in new[]
        {
            "read (pretrain): 8 steps", "write (finetune): 6 steps", "tell (task): 7 steps", "please (align): 6 steps",
            "Abilities after each stage", "What to try next", "report.html", "unigram perplexity",
        })
            Assert.Contains(said, finished.Result.Out);
        var text = File.ReadAllText(recipe.At("whole", "report.json"));
        Assert.Equal(
            [
                "name", "recipe", "seed", "unigramPerplexity", "majorityAccuracy", "baselines", "stages", "abilities", "samples",
                "environment", "next", "rounds",
            ],
            JsonNode.Parse(text)!.AsObject().Select(pair => pair.Key));
        var report = RunReport.Parse(text);
        Assert.Equal(("tiny", 5), (report.Name, report.Seed));
        Assert.Equal(["read", "write", "tell", "please"], report.Stages.Select(stage => stage.Name));
        Assert.Equal([8, 6, 7, 6], report.Stages.Select(stage => stage.Steps));
        Assert.Equal(["full", "freeze", "prompt + lora", "full"], report.Stages.Select(stage => stage.Method));
        Assert.All(report.Stages, stage => Assert.True(
            stage.LastLoss > 0 && stage.TrainableParameters > 0 && stage.TrainableParameters <= stage.TotalParameters));
        Assert.Equal(["start", "read", "write", "tell", "please"], report.Abilities.Select(row => row.After));
        Assert.All(report.Abilities, row => Assert.Equal(["form", "kinds", "reading", "variety"], row.Values.Keys.Order()));
        Assert.True(report.Abilities[1].Values["reading"] < report.Abilities[0].Values["reading"]);
        Assert.NotEmpty(report.Next);
        foreach (var file in new[]
        {
            "report.html", "recipe.yaml", "environment.json", "samples.jsonl", "stages/03-tell/adapter/adapter_config.json",
            "stages/04-please/rollouts/round-002.jsonl", "stages/04-please/model/model.safetensors",
        })
            Assert.True(File.Exists(recipe.At("whole", file)), file);
    }

    [Fact]
    public void An_answer_as_json_is_one_object_and_the_same_for_the_same_seed()
    {
        string[] command = ["generate", "whole", "--prompt", "say ama", "--json", "--max-new-tokens", "6", "--seed", "4"];
        var answer = JsonNode.Parse(Do(command).Out)!;
        Assert.Equal("say ama", (string)answer["prompt"]!);
        Assert.InRange(answer["tokens"]!.AsArray().Count, 0, 6);
        Assert.Equal(10, (int)answer["promptTokens"]!);
        Assert.Contains((string)answer["finish"]!, new[] { "stop", "length" });
        Assert.Equal((string)answer["text"]!, (string)JsonNode.Parse(Do(command).Out)!["text"]!);
        var raw = JsonNode.Parse(Do([.. command, "--raw"]).Out)!;
        Assert.Equal(8, (int)raw["promptTokens"]!);
    }

    [Fact]
    public void A_conversation_is_read_from_the_pipe()
    {
        var result = CliProgram.Say(recipe.Path, "say ama\n\nsay ela\n/forget\nsay tek\n/exit\nnever\n", "chat", "whole", "--temperature",
            "0", "--max-new-tokens", "5");
        Assert.Equal((0, ""), (result.Code, result.Error));
        Assert.True(result.Out.Count(c => c == '\n') >= 3, result.Out);
        Assert.Equal(
            0,
            CliProgram.Say(recipe.Path, string.Concat(Enumerable.Repeat("say a long thing\n", 9)), "chat", "whole", "--remember",
                "--max-new-tokens", "9", "--seed", "1").Code);
    }

    [Fact]
    public void A_conversation_knows_its_commands_and_when_it_is_full()
    {
        var result = CliProgram.Say(
            recipe.Path, "/help\n/hlep\nsay 1/2\n/quit\nnever\n", "chat", "whole", "--max-new-tokens", "3", "--seed", "1");
        Assert.Equal((0, ""), (result.Code, result.Error));
        var lines = result.Out.Split('\n');
        Assert.Equal("/forget starts a new conversation, /exit leaves, Ctrl-C stops an answer.", lines[0]);
        Assert.Equal($"There is no command /hlep; did you mean /help? {lines[0]}", lines[1]);
        string[] command =
            ["generate", "whole", "--raw", "--prompt", new string('a', 45), "--max-new-tokens", "9", "--temperature", "4", "--seed"];
        var filled = 0;
        for (var seed = 1; seed < 4; seed++)
        {
            var finish = (string)JsonNode.Parse(Do([.. command, $"{seed}", "--json"]).Out)!["finish"]!;
            Assert.Equal(
                finish == "length",
                CliProgram.Run(recipe.Path, [.. command, $"{seed}"]).Error
                    .Contains("context of 48 tokens is full", StringComparison.Ordinal));
            filled += finish == "length" ? 1 : 0;
        }
        Assert.True(filled > 0);
    }

    [Fact]
    public void A_model_without_a_layout_or_with_a_head_is_told_apart()
    {
        var labelled = recipe.At("labelled");
        Do("model", "convert", "whole", "--output", labelled, "--head", "classify", "--labels", "ham,spam");
        var refused = CliProgram.Run(recipe.Path, "generate", labelled, "--prompt", "x");
        Assert.Equal(2, refused.Code);
        Assert.Contains("a head over labels and does not generate", refused.Error);
        var stage = CliProgram.Run(recipe.Path, "generate", labelled, "--prompt", "x", "--stage", "read");
        Assert.Contains("has no stages. Leave --stage out", stage.Error);
        var plain = recipe.At("plain");
        Do("model", "convert", "whole", "--output", plain);
        foreach (var file in new[] { "polymath.json", "chat_template.jinja", "tokenizer_config.json" })
            File.Delete(Path.Combine(plain, file));
        Assert.Contains("not trained on conversations", CliProgram.Say(recipe.Path, "/exit\n", "chat", plain).Error);
    }

    [Fact]
    public void Abilities_measured_again_are_those_of_the_report()
    {
        var measured = JsonNode.Parse(Do("eval", "whole", "--json").Out)!.AsObject();
        var kept = JsonNode.Parse(File.ReadAllText(recipe.At("whole", "stages", "04-please", "report.json")))!["abilities"]!.AsObject();
        Assert.Equal(["form", "kinds", "reading", "variety"], measured.Select(pair => pair.Key).Order());
        Assert.All(measured, pair => Assert.Equal((double)kept[pair.Key]!, (double)pair.Value!, 1e-6));
        Assert.Matches("(^|\n)reading +[0-9.]+\n$", Do("eval", "whole", "--ability", "reading").Out);
        var wrong = CliProgram.Run(recipe.Path, "eval", "whole", "--ability", "raeding");
        Assert.Equal(2, wrong.Code);
        Assert.Contains("no ability 'raeding'", wrong.Error);
    }

    [Fact]
    public void A_model_is_described_hashed_and_verified()
    {
        var info = Do("model", "info", "whole").Out;
        Assert.Contains("1 layers, 32 wide, 2 heads", info);
        Assert.Contains("model.layers.0.mlp.down_proj.weight", info);
        var described = JsonNode.Parse(Do("model", "info", "whole", "--json").Out)!;
        Assert.Equal(("llama", 1, 32), ((string)described["family"]!, (int)described["layers"]!, (int)described["hiddenSize"]!));
        Assert.Equal((long)described["parameters"]!, described["weights"]!.AsArray().Sum(weight => (long)weight!["parameters"]!));
        Assert.Equal(recipe.Hash("whole"), (string)JsonNode.Parse(Do("model", "hash", "whole", "--json").Out)!["hash"]!);
        Assert.Contains(" ids", Do("tokenizer", "info", "whole").Out);
        Assert.Equal(recipe.Hash("whole"), recipe.Hash(recipe.At("whole", "stages", "04-please", "model")));
        Assert.NotEqual(recipe.Hash("whole"), recipe.Hash(recipe.At("whole", "stages", "01-read", "model")));
        var llama = TextFixtures.At("models", "llama");
        Assert.Contains("greedy without cache", Do("model", "verify", llama).Out);
        var lines = JsonNode.Parse(Do("model", "verify", llama, "--adapter", TextFixtures.At("adapters", "lora"), "--json").Out)!.AsArray();
        Assert.All(lines, line => Assert.True((bool)line!["passed"]!));
        Assert.Contains(lines, line => (string)line!["quantity"]! == "merged_logits");
        Assert.Equal(1, CliProgram.Run(recipe.Path, "model", "verify", llama, "--tolerance", "1e-12").Code);
        Assert.Equal(2, CliProgram.Run(recipe.Path, "model", "verify", "whole").Code);
    }

    [Fact]
    public void What_is_shipped_loaded_and_asked_for_is_told()
    {
        Assert.Contains("tang.yaml", Do("recipes").Out);
        var doctor = Do("doctor").Out;
        foreach (var said in new[]
        {
            "libtorch        2.10", "libLibTorchSharp", ".NET            10", "package cache", "threads         1",
        })
            Assert.Contains(said, doctor);
        var schema = JsonNode.Parse(Do("schema").Out)!;
        Assert.Equal("object", (string)schema["type"]!);
        Assert.Contains("is right: 4 stages (read, write, tell, please)", Do("check", "tiny.yaml").Out);
        foreach (var verb in new[] { "run", "check", "chat", "generate", "eval", "model", "tokenizer", "doctor", "schema", "recipes" })
            Assert.Contains(verb, Do("--help").Out);
    }
}
