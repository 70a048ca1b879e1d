using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>A run whose stages train adapters separately and use them together in every way.</summary>
public sealed class SeveralRun : IDisposable
{
    private const string Text = """
        name: several
        seed: 5
        model: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 1, heads: 2, contextLength: 48}
        tokenizer: {kind: character}
        data:
          soft: {files: soft.jsonl, split: {validation: 0.1, test: 0.1}}
          hard: {files: hard.jsonl, split: {validation: 0.1, test: 0.1}}
        abilities:
          soft: {kind: perplexity, stage: softly, rows: 20}
          hard: {kind: perplexity, stage: harshly, rows: 20}
        stages:
          - {name: base, kind: pretrain, data: [soft, hard], steps: 4, optimizer: {rate: 1e-2}, batch: {tokens: 128}}
          - {name: softly, kind: pretrain, data: soft, steps: 4, optimizer: {rate: 2e-2}, batch: {tokens: 128},
            method: {kind: lora, r: 2, targetModules: all-linear, loraDropout: 0.1, merge: false}}
          - {name: harshly, kind: pretrain, data: hard, steps: 4, optimizer: {rate: 2e-2}, batch: {tokens: 128},
            method: {kind: delta, form: lora, settings: {r: '3'}}}
          - name: stacked
            kind: pretrain
            data: [soft, hard]
            steps: 4
            optimizer: {rate: 1e-2}
            batch: {tokens: 128}
            checkpoint: {every: 3}
            method: {kind: adapters, adapters: {
              softly: {stage: softly, optimizerState: true, optimizer: {rate: 3e-3, beta1: 0.8}},
              harshly: {stage: harshly},
              fresh: {delta: {form: ia3}}}}
          - name: routed
            kind: pretrain
            data: [soft, hard]
            steps: 4
            optimizer: {rate: 1e-2}
            batch: {tokens: 128, microTokens: 60}
            evaluate: {every: 2, abilities: [soft]}
            checkpoint: {every: 3}
            method: {kind: adapters, together: route, adapters: {
              softly: {stage: softly, data: soft, optimizerState: true},
              harshly: {stage: harshly, data: hard, optimizer: {rate: 5e-3, clip: 0.1}}}}
          - name: mixed
            kind: pretrain
            data: [soft, hard]
            steps: 4
            optimizer: {rate: 1e-2}
            batch: {tokens: 128}
            checkpoint: {every: 3}
            method: {kind: adapters, together: mix, adapters: {softly: {stage: softly, frozen: true}, harshly: {stage: harshly}}}
          - name: combined
            kind: pretrain
            data: [soft, hard]
            steps: 4
            optimizer: {rate: 1e-2}
            batch: {tokens: 128}
            checkpoint: {every: 3}
            method: {kind: adapters, together: combine, combine: {kind: svd, r: 3}, adapters: {
              softly: {stage: softly, weight: 0.6},
              harshly: {stage: harshly, weight: 0.4}}}
          - name: told
            kind: task
            label: kind
            data: [soft, hard]
            steps: 3
            optimizer: {rate: 1e-2}
            batch: {tokens: 128}
            method:
              kind: prompt
              template: "{text} is {mask}"
              verbalizer: {words: {soft: s, hard: h}}
              train: {kind: adapters, together: route, adapters: {
                softly: {stage: softly, data: soft},
                harshly: {stage: harshly, data: hard}}}
        """;

    private readonly ScratchFolder folder = new();

    public SeveralRun()
    {
        folder.Write("several.yaml", Text);
        foreach (var (name, words) in new (string, string[])[]
        {
            ("soft", ["ama", "ela", "ilu", "ona"]), ("hard", ["bat", "dok", "gup", "tek"]),
        })
            folder.Write($"{name}.jsonl", string.Concat(Enumerable.Range(0, 120)
                .Select(i => JsonSerializer.Serialize(
                    new { text = $"{words[i % 4]} {words[i / 4 % 4]} {words[i / 16 % 4]} {i % 7}", kind = name }) + "\n")));
        var whole = Do("whole");
        Assert.True(whole.Code == 0, whole.All);
    }

    internal string At(params string[] parts) => folder.At(parts);

    internal void Write(string name, string text) => folder.Write(name, text);

    internal CliResult Do(string run, params string[] more) => Verb(["run", "several.yaml", "--run-dir", run, .. more]);

    internal CliResult Verb(params string[] arguments) => CliProgram.Run(folder.Path, arguments);

    /// <summary>The output of a run that does not depend on the clock: every adapter's files, and the figures.</summary>
    internal List<string> Written(string run)
    {
        var stages = At(run, "stages");
        var files = Directory.GetFiles(stages, "*", SearchOption.AllDirectories)
            .Where(file => file.Contains("/adapter/", StringComparison.Ordinal)).Order(StringComparer.Ordinal);
        return [
            .. files.Select(
                file => $"{Path.GetRelativePath(stages, file)} {Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(file)))}"),
            .. RunFigures.Of(At(run, "metrics.jsonl")),
        ];
    }

    public void Dispose() => folder.Dispose();
}

/// <summary>Several adapters of a stage, through the command line.</summary>
[Trait("kind", "invariant")]
public sealed class SeveralTests(SeveralRun several) : IClassFixture<SeveralRun>
{
    [Fact]
    public void How_a_stage_is_used_and_what_a_merge_is_compared_on_is_said_as_it_works()
    {
        var told = several.Do("whole").Out;
        Assert.Contains("--stage stacked\n", told, StringComparison.Ordinal);
        Assert.Contains(
            "--stage routed for chat (/adapter NAME) and generate --input; elsewhere --adapter", told, StringComparison.Ordinal);
        CliResult Merge(params string[] more) => several.Verb([
            "adapter", "merge", "whole/stages/01-base/model", "--adapter", "whole/stages/02-softly/adapter", "--output", "merged-here",
            .. more,
        ]);
        Assert.Contains("--prompt '' has no token", Merge("--prompt", "ama", "--prompt", "").Error, StringComparison.Ordinal);
        Assert.Contains("--gate is NaN; write a divergence", Merge("--gate", "nan").Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(several.At("merged-here")));
    }

    [Theory]
    [InlineData(14)]
    [InlineData(18)]
    [InlineData(22)]
    [InlineData(26)]
    public void A_run_that_was_stopped_goes_on_to_the_same_end(int step)
    {
        var name = $"stopped-{step}";
        Assert.Equal(0, several.Do(name, "--stop-after-step", $"{step}").Code);
        var resumed = several.Do(name);
        Assert.True(resumed.Code == 0, resumed.All);
        Assert.Equal(several.Written("whole"), several.Written(name));
    }

    private string Adapter(string stage, params string[] parts) => several.At(["whole", "stages", stage, "adapter", .. parts]);

    private Dictionary<string, double> After(string stage) =>
        File.ReadLines(several.At("whole", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => (string)line["stage"]! == stage && ((string)line["name"]!).StartsWith("after ", StringComparison.Ordinal))
            .ToDictionary(line => ((string)line["name"]!)["after ".Length..], line => (double)line["value"]!);

    private JsonNode Measured(params string[] more)
    {
        var result = several.Verb(["eval", "whole", "--json", .. more]);
        Assert.True(result.Code == 0, result.All);
        return JsonNode.Parse(result.Out)!;
    }

    [Fact]
    public void Rows_of_a_routed_stage_are_measured_with_their_own_adapter()
    {
        var routed = After("routed");
        foreach (var (data, own, other) in new[] { ("soft", "softly", "harshly"), ("hard", "harshly", "softly") })
        {
            double with = (double)Measured("--stage", "routed", "--ability", data, "--adapter", Adapter("05-routed", own))[data]!,
                without = (double)Measured("--stage", "routed", "--ability", data, "--adapter", Adapter("05-routed", other))[data]!;
            Assert.InRange(Math.Abs(with - routed[data]), 0, 1e-4 * with);
            Assert.True(Math.Abs(without - routed[data]) > 0.01 * with, $"{data}: {with} with its own, {without} with the other");
        }
        // During the stage, too: the measurement at the last step equals that after it.
        var last = File.ReadLines(several.At("whole", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Last(line => (string)line["stage"]! == "routed" && (string)line["name"]! == "soft");
        Assert.InRange(Math.Abs((double)last["value"]! - routed["soft"]), 0, 1e-6);
    }

    [Theory]
    [InlineData("stacked")]
    [InlineData("mixed")]
    [InlineData("combined")]
    public void A_stage_that_kept_its_adapters_apart_answers_as_it_was_measured(string stage)
    {
        var measured = Measured("--stage", stage);
        Assert.All(After(stage), pair => Assert.InRange(Math.Abs(pair.Value - (double)measured[pair.Key]!), 0, 1e-4 * pair.Value));
    }

    [Fact]
    public void Generate_and_chat_take_adapters_that_come_together()
    {
        string Said(params string[] more)
        {
            var result = several.Verb(["generate", "whole", "--prompt", "a", "--temperature", "0", "--max-new-tokens", "12", .. more]);
            Assert.True(result.Code == 0, result.All);
            return result.Out;
        }
        foreach (var stage in new[] { "stacked", "mixed", "combined" }) Said("--stage", stage);
        // The folder by its name on the stage before it, whose model is the base of them all.
        Assert.Equal(Said("--stage", "mixed"), Said("--stage", "base", "--adapter", Adapter("06-mixed")));
        Assert.Equal(Said("--stage", "stacked"), Said("--stage", "base", "--adapter", Adapter("04-stacked")));
        Said("--stage", "routed", "--adapter", Adapter("05-routed", "softly"));
        var chat = CliProgram.Say(several.At(), "ama\n/exit\n", "chat", "whole", "--stage", "stacked", "--max-new-tokens", "6");
        Assert.True(chat.Code == 0, chat.All);

        var refused = several.Verb("generate", "whole", "--stage", "routed", "--prompt", "a");
        Assert.Equal(2, refused.Code);
        Assert.Contains("each trained on rows of their own", refused.Error, StringComparison.Ordinal);
        Assert.Contains($"--adapter {Adapter("05-routed", "harshly")}", refused.Error, StringComparison.Ordinal);
    }

    private string[] Said(string[] rows, params string[] more)
    {
        var result = CliProgram.Say(
            several.At(),
            string.Join('\n', rows) + "\n",
            ["generate", "whole", "--input", "-", "--temperature", "0", "--max-new-tokens", "12", "--rows", "2", .. more]);
        Assert.True(result.Code == 0, result.All);
        return [.. result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => (string)JsonNode.Parse(line)!["generated"]!["text"]!)];
    }

    [Fact]
    public void Rows_of_one_file_are_answered_each_by_the_adapters_that_it_names()
    {
        string One(string prompt, params string[] more)
        {
            var result = several.Verb([
                "generate", "whole", "--prompt", prompt, "--temperature", "0", "--max-new-tokens", "12", "--stage", "base", "--json",
                .. more,
            ]);
            Assert.True(result.Code == 0, result.All);
            return (string)JsonNode.Parse(result.Out)!["text"]!;
        }
        string soft = Adapter("05-routed", "softly"), hard = Adapter("05-routed", "harshly");
        string[] rows =
        [
            """{"prompt": "ama", "adapter": "softly"}""", """{"prompt": "bat", "adapter": "harshly", "id": 7}""", """{"prompt": "ama"}""",
            """{"prompt": "ama", "adapter": ["harshly"]}""", """{"prompt": "bat", "adapter": "softly"}""",
        ];
        string[] alone =
        [
            One("ama", "--adapter", soft), One("bat", "--adapter", hard), One("ama"), One("ama", "--adapter", hard),
            One("bat", "--adapter", soft),
        ];
        Assert.True(alone.Distinct().Count() > 2);
        Assert.Equal(alone, Said(rows, "--stage", "base", "--adapters", $"softly={soft}", "--adapters", $"harshly={hard}"));
        // A routed stage offers its adapters by name.
        Assert.Equal(alone, Said(rows, "--stage", "routed"));
        var both = CliProgram.Say(
            several.At(), rows[1] + "\n", "generate", "whole", "--input", "-", "--stage", "routed", "--max-new-tokens", "2");
        Assert.Equal(7, (int)JsonNode.Parse(both.Out)!["id"]!);
    }

    [Fact]
    public void A_conversation_changes_its_adapter_without_beginning_anew()
    {
        var result = CliProgram.Say(
            several.At(), "ama\n/adapter harshly\nama\n/adapter softly harshly\nama\n/adapter\nama\n/adapter hashly\nama\n/exit\n", "chat",
            "whole", "--stage", "routed", "--temperature", "0", "--max-new-tokens", "12");
        Assert.True(result.Code == 0, result.All);
        var answers = result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(5, answers.Length);
        Assert.Equal(
            Said([
                """{"prompt": "ama", "adapter": "softly"}""", """{"prompt": "ama", "adapter": "harshly"}""",
                """{"prompt": "ama", "adapter": ["softly", "harshly"]}""", """{"prompt": "ama", "adapter": null}""",
            ], "--stage", "routed"),
            answers[..4]);
        // An unknown name changes nothing.
        Assert.Equal(answers[3], answers[4]);
        Assert.Contains("There is no adapter 'hashly'; did you mean 'harshly'?", result.Error, StringComparison.Ordinal);
        Assert.Contains("(softly and harshly answer, of softly, harshly.)", result.Error, StringComparison.Ordinal);
        var mistyped = CliProgram.Say(
            several.At(), "/adpater softly\n/forget it\n/forgt\n/nonsense\n/exit\n", "chat", "whole", "--stage", "base");
        Assert.Equal(
            [
                "There is no command /adpater; did you mean /adapter?", "/forget stands alone.",
                "There is no command /forgt; did you mean /forget?", "There is no command /nonsense.",
            ],
            mistyped.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(" /forget starts")[0]));
        Assert.Contains(
            "no adapters to choose from",
            CliProgram.Say(several.At(), "/adapter softly\n", "chat", "whole", "--stage", "base").Error,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"prompt\": \"ama\", \"adapter\": \"sofly\"}", "-, line 1: there is no adapter 'sofly'; did you mean 'softly'?",
        "--stage", "routed")]
    [InlineData("{\"prompt\": \"ama\", \"adapter\": \"softly\"}", "--adapters softly=FOLDER", "--stage", "base")]
    [InlineData("{\"promt\": \"ama\"}", "-, line 1: there is no prompt", "--stage", "base")]
    [InlineData("ama", "-, line 1: this is not JSON", "--stage", "base")]
    [InlineData("{\"prompt\": \"ama\", \"adapter\": 3}", "adapter is 3; write a name", "--stage", "routed")]
    [InlineData("{\"prompt\": \"a\"}\n{\"prompt\": \"ama ama ama ama ama ama ama ama ama ama ama ama ama\"}", "-, line 2: The prompt has ",
        "--stage", "base")]
    [InlineData("{\"prompt\": \"ama\", \"adapters\": [\"softly\"]}", "write \"adapter\": a name", "--stage", "routed")]
    [InlineData("", "has no rows", "--stage", "base")]
    [InlineData("{\"prompt\": \"ama\"}", "write NAME=FOLDER", "--adapters", "softly")]
    [InlineData("{\"prompt\": \"ama\"}", "there is no such file", "--input", "nowhere.jsonl")]
    [InlineData("{\"prompt\": \"ama\"}", "Give one of the two options", "--prompt", "a")]
    public void Rows_that_cannot_be_answered_are_told(string row, string told, params string[] more)
    {
        var result = CliProgram.Say(
            several.At(),
            row + "\n",
            [.. (string[])["generate", "whole"], .. more.Contains("--input") ? Array.Empty<string>() : ["--input", "-"], .. more]);
        Assert.Equal(2, result.Code);
        Assert.Contains(told, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.All, StringComparison.Ordinal);
    }

    [Fact]
    public void Info_tells_of_every_adapter_and_how_they_come_together()
    {
        string Told(params string[] more)
        {
            var result = several.Verb(["adapter", "info", .. more]);
            Assert.True(result.Code == 0, result.All);
            return result.Out;
        }
        var stacked = Told(Adapter("04-stacked"), "--model", Path.Combine("whole", "stages", "04-stacked", "model"));
        Assert.Contains("3 adapters, softly, harshly, fresh: their changes add up.", stacked, StringComparison.Ordinal);
        Assert.Contains("IA3 for", stacked, StringComparison.Ordinal);
        Assert.Contains("each applies to the rows of its own data", Told(Adapter("05-routed")), StringComparison.Ordinal);
        Assert.Contains("gates (mixture.safetensors) weigh them for each token", Told(Adapter("06-mixed")), StringComparison.Ordinal);
        Assert.DoesNotContain("adapters,", Told(Adapter("07-combined")), StringComparison.Ordinal);
        var merge = several.Verb("adapter", "merge", Path.Combine("whole", "stages", "04-stacked", "model"), "--adapter",
            Adapter("04-stacked"), "--output", "merged");
        Assert.Equal(2, merge.Code);
        Assert.Contains("holds several adapters. Name one of them", merge.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(several.At("merged")));
    }

    [Fact]
    public void An_adapter_from_a_folder_goes_on_as_it_was_found_though_the_folder_changes()
    {
        void Copy(string stage)
        {
            if (Directory.Exists(several.At("kept"))) Directory.Delete(several.At("kept"), recursive: true);
            Directory.CreateDirectory(several.At("kept"));
            foreach (var file in Directory.GetFiles(Adapter(stage))) File.Copy(file, several.At("kept", Path.GetFileName(file)));
        }
        var model = Path.Combine("whole", "stages", "01-base", "model");
        var forgetful = RecipeBuilder.Named("further").Model($"folder: {model}").Tokenizer($"folder: {model}")
            .Data("soft", "files: soft.jsonl", "split: {validation: 0.1, test: 0.1}")
            .Stage("on", "pretrain", "data: soft", "steps: 4", "optimizer: {rate: 1e-2}", "batch: {tokens: 128}", "checkpoint: {every: 4}",
                "method: {kind: adapters, adapters: {one: {folder: kept}, still: {folder: kept, frozen: true}}}");
        several.Write("further.yaml", forgetful.With("stages.on.method.adapters.one.optimizerState", "true").Text);
        several.Write("forgetful.yaml", forgetful.Text);
        CliResult Run(string recipe, string run, params string[] more) => several.Verb(["run", recipe, "--run-dir", run, .. more]);
        Copy("02-softly");
        Assert.Equal(0, Run("further.yaml", "further").Code);
        Assert.Equal(0, Run("forgetful.yaml", "forgetful").Code);
        Assert.NotEqual(several.Written("further"), several.Written("forgetful"));
        Assert.Equal(0, Run("further.yaml", "stopped", "--stop-after-step", "2").Code);
        Copy("03-harshly");
        var resumed = Run("further.yaml", "stopped");
        Assert.True(resumed.Code == 0, resumed.All);
        Assert.Equal(several.Written("further"), several.Written("stopped"));
        // A new run uses the folder in its current state.
        Assert.Equal(0, Run("further.yaml", "other").Code);
        Assert.NotEqual(several.Written("further"), several.Written("other"));
        // A hub's cache is a folder like any other.
        foreach (var file in Directory.GetFiles(Adapter("02-softly"), "adapter_*"))
            several.Write($"hub/models--org--kept/snapshots/{new string('a', 40)}/{Path.GetFileName(file)}", "");
        foreach (var file in Directory.GetFiles(Adapter("02-softly"), "adapter_*"))
            File.Copy(
                file, several.At("hub", "models--org--kept", "snapshots", new string('a', 40), Path.GetFileName(file)), overwrite: true);
        several.Write("hub/models--org--kept/refs/main", new string('a', 40));
        several.Write("fetched.yaml", forgetful.With("stages.on.method.adapters.one.folder", "hf:org/kept")
            .With("stages.on.method.adapters.still.folder", "hf:org/kept").Text);
        var fetched = CliProgram.End(CliProgram.Start(
            several.At(), new Dictionary<string, string> { ["HF_HUB_CACHE"] = several.At("hub"), ["HF_HUB_OFFLINE"] = "1" }, "run",
            "fetched.yaml", "--run-dir", "fetched"));
        Assert.True(fetched.Code == 0, fetched.All);
        Assert.Equal(several.Written("forgetful"), several.Written("fetched"));
        // The fault names the folder of the recipe.
        File.Delete(several.At("kept", "adapter_config.json"));
        var broken = Run("further.yaml", "broken");
        Assert.Equal(2, broken.Code);
        Assert.Contains("kept has no adapter_config.json", broken.Error, StringComparison.Ordinal);
    }
}
