using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;
using Polymath.Tests.Text.Hubs;
using Polymath.Text;

namespace Polymath.Tests.Cli;

/// <summary>Hubs through the command line, with a hub on this machine.</summary>
[Trait("kind", "invariant")]
public sealed class HubVerbTests : IDisposable
{
    private static readonly RecipeBuilder hubbed = RecipeBuilder.Of("""
        name: hubbed
        seed: 3
        model: {folder: "hf:org/tiny"}
        tokenizer: {folder: "hf:org/tiny"}
        data:
          lines: {files: "hf:org/lines@main/data/*.jsonl", split: {validation: 0.1, test: 0.1}}
        abilities:
          reading: {kind: perplexity, stage: read, rows: 10}
        stages:
          - {name: read, kind: pretrain, text: "{text}", data: lines, steps: 4, optimizer: {rate: 1e-3}, batch: {tokens: 128},
            checkpoint: {every: 2}}
        """);

    private static readonly string[] Words = ["so", "the", "cat", "sat", "on", "mats"];
    private readonly HubServer server = new();
    private readonly ScratchFolder folder = new();
    private readonly string commit;

    public HubVerbTests()
    {
        WordPieceTrainer
            .Train(Enumerable.Range(0, 40).Select(Line), 90, 1, ["[PAD]", "[UNK]", "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"])
            .Save(folder.At("tokenizer"));
        commit = server.PutFolder(
            "models/org/tiny",
            TextFixtures.At("models", "llama"),
            ("tokenizer.json", File.ReadAllBytes(folder.At("tokenizer", "tokenizer.json"))),
            ("onnx/model.onnx", HubScene.Bytes(5000)));
        server.PutFolder("models/org/lora", TextFixtures.At("adapters", "lora"));
        PutLines(0);
        folder.Write("hubbed.yaml", hubbed.Text);
    }

    private void PutLines(int from) => server.Put("datasets/org/lines", ("README.md", HubScene.Text("lines")),
        ("data/lines.jsonl", HubScene.Text(string.Concat(Enumerable.Range(from, 60).Select(i => $$"""{"text": "{{Line(i)}}"}""" + "\n")))));

    private static string Line(int i) =>
        string.Join(' ', Enumerable.Range(0, 6).Select(j => Words[(i * 7 + j * j) % Words.Length])) + $" {i}";

    private Dictionary<string, string> Variables => new()
    {
        ["HF_ENDPOINT"] = server.Endpoint.AbsoluteUri, ["HF_HOME"] = folder.At("home"), ["HF_HUB_CACHE"] = folder.At("cache"),
        ["HF_TOKEN"] = "hf_secret", ["HF_TOKEN_PATH"] = folder.At("none"),
        ["HF_HUB_OFFLINE"] = "", ["MODELSCOPE_DOMAIN"] = server.Endpoint.AbsoluteUri, ["MODELSCOPE_CACHE"] = folder.At("scope"),
    };

    private CliResult Do(params string[] arguments) => CliProgram.End(CliProgram.Start(folder.Path, Variables, arguments));

    private CliResult Right(params string[] arguments)
    {
        var result = Do(arguments);
        Assert.True(result.Code == 0, result.All);
        Assert.DoesNotContain("hf_secret", result.All);
        return result;
    }

    public void Dispose()
    {
        server.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Models_tokenizers_adapters_and_data_are_named_by_address()
    {
        var info = Right("model", "info", "hf:org/tiny");
        Assert.Contains("llama in ", info.Out);
        Assert.Contains("llama in " + folder.At("scope", "models", "org", "tiny"), Right("model", "info", "modelscope:org/tiny").Out);
        Assert.Equal(Right("model", "hash", TextFixtures.At("models", "llama")).Out, Right("model", "hash", "hf:org/tiny@" + commit).Out);
        Assert.Contains("WordPiece", Right("tokenizer", "info", "hf:org/tiny").Out, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(
            Right("tokenizer", "encode", "tokenizer", "so the cat").Out,
            Right("tokenizer", "encode", "hf:org/tiny", "so the cat", "--offline").Out);
        Assert.Contains("\"rows\":60", Right("data", "preview", "hf:org/lines", "--json").Out);
        Assert.Contains(
            "\"rows\":60",
            Right("data", "preview", "hf:datasets/org/lines/data/*.jsonl", "--model", "hf:org/tiny", "--json", "--offline").Out);
        Assert.Contains(
            "\"text\"",
            Right("generate", "hf:org/tiny", "--prompt", "the cat", "--raw", "--json", "--adapter", "hf:org/lora", "--max-new-tokens", "3",
                "--seed", "1").Out);
        Assert.All(
            server.Requests.Where(request => !request.Path.Contains("/v1/", StringComparison.Ordinal)),
            request => Assert.Equal("Bearer hf_secret", request.Headers["authorization"]));
        Assert.DoesNotContain(server.Contents, request => request.Path.EndsWith(".onnx", StringComparison.Ordinal));
    }

    [Fact]
    public void A_repository_is_listed_downloaded_and_told_of()
    {
        Assert.Contains("onnx/model.onnx", Right("hub", "list", "hf:org/tiny").Out);
        Assert.Equal(commit, (string)JsonNode.Parse(Right("hub", "list", "hf:org/tiny", "--json").Out)!["commit"]!);
        var said = Right("hub", "download", "hf:org/tiny").Out.Split('\n');
        Assert.StartsWith($"hf:org/tiny at {commit[..12]}: 3 file(s)", said[0]);
        Assert.Equal(folder.At("cache", "models--org--tiny", "snapshots", commit), said[1]);
        Right("hub", "download", "hf:datasets/org/lines", "--files", "*.md", "data/*", "--to", "copies");
        Assert.Equal("lines", File.ReadAllText(folder.At("copies", "README.md")));
        Right("hub", "download", "hf:datasets/org/lines", "--files", "*.md", "--to", "copies");
        folder.Write("copies/README.md", "mine");
        Assert.Contains(
            "README.md exists. Name another place with --to, or add --overwrite",
            Do("hub", "download", "hf:datasets/org/lines", "--files", "*.md", "--to", "copies").Error);
        Assert.Equal("mine", File.ReadAllText(folder.At("copies", "README.md")));
        Assert.Null(new FileInfo(folder.At("copies", "data", "lines.jsonl")).LinkTarget);
        var cache = Right("hub", "cache").Out;
        Assert.Contains("hf:datasets/org/lines", cache);
        Assert.Contains("2 repositories", cache);
        var cached = JsonNode.Parse(Right("hub", "cache", "--json").Out)!;
        Assert.Equal(["hf:datasets/org/lines", "hf:org/tiny"], cached["repositories"]!.AsArray().Select(each => (string)each!["source"]!));
        Assert.Contains("model.safetensors", Right("hub", "list", "hf:org/tiny", "--offline").Out);
    }

    [Fact]
    public void A_wrong_address_is_refused_with_what_to_type()
    {
        foreach (var (arguments, what) in new (string[], string)[]
        {
            (["model", "info", "hf:org/none"], "there is no repository hf:org/none"),
            (["model", "info", "hf:org/tiny", "--offline"], "polymath hub download hf:org/tiny"),
            (["model", "info", "hf:org/tiny/x"], "Write hf:ORG/NAME"),
            (["tokenizer", "info", "hf:datasets/org/lines"], "is data, but a model is expected"),
            (["hub", "list", "org/tiny"], "not a hub's address"),
            (["hub", "download", "hf:org/tiny", "--files", "*.exe"], "matches '*.exe'"),
            (["data", "preview", "hf:org/lines/*.csv"], "polymath hub list hf:datasets/org/lines"),
        })
        {
            var result = Do(arguments);
            Assert.True(result.Code == 2, result.All);
            Assert.Contains(what, result.Error);
        }
        folder.Write("wrong.yaml", hubbed
            .With("model.folder", "hf:org/../x").With("tokenizer.folder", "hf:org/../x")
            .With("data.lines.files", "hx:org/lines/data/*.jsonl").Text);
        var faults = Do("check", "wrong.yaml");
        Assert.Equal(2, faults.Code);
        Assert.Contains("'hf:org/../x'", faults.Error);
        Assert.Contains("did you mean 'hf:'?", faults.Error);
    }

    [Fact]
    public void A_run_keeps_to_the_commits_it_began_with()
    {
        Right("run", "hubbed.yaml", "--run-dir", "whole");
        var pins = JsonNode.Parse(File.ReadAllText(folder.At("whole", "environment.json")))!["hubs"]!.AsObject();
        Assert.Equal(["hf:datasets/org/lines@main", "hf:org/tiny"], pins.Select(pair => pair.Key));
        Assert.Equal(commit, (string)pins["hf:org/tiny"]!);
        Right("run", "hubbed.yaml", "--run-dir", "stopped", "--stop-after-step", "2");
        // The branches change, but the run keeps its commits.
        PutLines(500);
        server.PutFolder("models/org/tiny", TextFixtures.At("models", "llama"), ("tokenizer.json", HubScene.Text("{}")));
        Right("run", "hubbed.yaml", "--run-dir", "stopped");
        Assert.Equal(Right("model", "hash", "whole").Out, Right("model", "hash", "stopped").Out);
        Assert.Equal(Right("eval", "whole", "--json").Out, Right("eval", "stopped", "--json", "--offline").Out);
        // From the hub again, after the cache was lost.
        Directory.Delete(folder.At("cache"), true);
        Right("eval", "stopped");
    }

    [Fact]
    public void An_interrupted_download_ends_cleanly_and_is_gone_on_from()
    {
        server.Misbehave = request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal)
            ? new Trouble(PauseAfter: 100_000, Pause: TimeSpan.FromMinutes(30))
            : null;
        foreach (var signal in new[] { CliProgram.Interrupt, CliProgram.Kill })
        {
            using var process = CliProgram.Start(folder.Path, Variables, "hub", "download", "hf:org/tiny");
            while (!process.HasExited && !Incomplete().Any(file => new FileInfo(file).Length >= 90_000)) Thread.Sleep(20);
            CliProgram.Signal(process, signal);
            if (signal == CliProgram.Kill) process.WaitForExit();
            else
            {
                var result = CliProgram.End(process);
                Assert.Equal(130, result.Code);
                Assert.Contains("the same command continues from there", result.Error);
            }
            Assert.False(Directory.Exists(folder.At("cache", "models--org--tiny", "snapshots")));
        }
        Assert.Contains(Incomplete(), file => new FileInfo(file).Length >= 90_000);
        server.Misbehave = _ => null;
        server.Requests.Clear();
        Right("hub", "download", "hf:org/tiny");
        Assert.Contains(server.Contents, request => request.Path.EndsWith(".safetensors", StringComparison.Ordinal)
            && request.Range is not (null or "bytes=0-"));
        Assert.Empty(Incomplete());
        Assert.Equal(
            Right("model", "hash", TextFixtures.At("models", "llama")).Out, Right("model", "hash", "hf:org/tiny", "--offline").Out);
    }

    [Fact]
    public void Two_processes_fetch_each_file_once()
    {
        server.Misbehave = request => request.IsContent ? new Trouble(PauseAfter: 60_000, Pause: TimeSpan.FromMilliseconds(30)) : null;
        var both = Enumerable.Range(0, 2).Select(_ => CliProgram.Start(folder.Path, Variables, "hub", "download", "hf:org/tiny")).ToList();
        Assert.All(both.Select(CliProgram.End), result => Assert.True(result.Code == 0, result.All));
        Assert.Equal(3, server.Contents.Count());
    }

    private IEnumerable<string> Incomplete() => Directory.Exists(folder.At("cache"))
        ? Directory.EnumerateFiles(folder.At("cache"), "*.incomplete", SearchOption.AllDirectories)
        : [];
}
