using System.Text.Json.Nodes;
using Polymath.Tests.Recipes;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary>Conversations and ranked pairs in published forms, through the command line.</summary>
[Trait("kind", "unit")]
public sealed class ChatDataTests : IDisposable
{
    private static readonly RecipeBuilder talk = RecipeBuilder.Of("""
        name: talk
        seed: 3
        model: {family: llama, hiddenSize: 32, intermediateSize: 48, layers: 1, heads: 2, contextLength: 160}
        tokenizer: {kind: character}
        chat: {template: chatglm}
        data:
          talk: {files: talk.jsonl, shape: auto, split: {validation: 0, test: 0}}
          pairs: {files: pairs.jsonl, shape: preference, split: {validation: 0, test: 0}}
        stages:
          - {name: teach, kind: finetune, data: talk, steps: 3, optimizer: {rate: 1e-3}, 
            batch: {tokens: 512, maxLength: 160, maxCut: 0.1}, method: {kind: lora, r: 2}}
          - {name: please, kind: align, data: pairs, steps: 3, optimizer: {rate: 1e-3}, batch: {tokens: 512}}
        """);

    private readonly ScratchFolder folder = new();

    public ChatDataTests()
    {
        folder.Write("talk.jsonl", string.Concat(Enumerable.Range(0, 20)
            .Select(i => $$$"""{"conversations": [{"from": "human", "value": "say {{{i}}}"}, {"from": "gpt", "value": "it is {{{i}}}"},"""
                + """ {"from": "human", "value": "more"}, {"from": "gpt", "value": "no"}]}""" + "\n")));
        folder.Write("pairs.jsonl", string.Concat(Enumerable.Range(0, 20)
            .Select(i => $$$"""{"prompt": "say {{{i}}}", "chosen": "it is {{{i}}}", "rejected": "go away {{{i}}}"}""" + "\n")));
    }

    public void Dispose() => folder.Dispose();

    private CliResult Run(string template = "chatglm", int length = 160)
    {
        folder.Write(
            "talk.yaml", talk.With("chat.template", template).With("stages.teach.batch.maxLength", $"{length}").Text);
        return CliProgram.Run(folder.Path, "run", "talk.yaml", "--run-dir", "run");
    }

    [Fact]
    public void A_run_learns_from_conversations_and_pairs_and_keeps_its_template()
    {
        var result = Run();
        Assert.True(result.Code == 0, result.All);
        Assert.Contains("please: 20 rows", result.Out);
        var stages = Directory.GetDirectories(folder.At("run", "stages")).Order(StringComparer.Ordinal).ToList();
        foreach (var place in new[]
        {
            Path.Combine(stages[1], "adapter"), Path.Combine(stages[1], "model"), Path.Combine(stages[2], "model"),
        })
        {
            Assert.Contains("[Round ", File.ReadAllText(Path.Combine(place, "chat_template.jinja")));
            Assert.Equal(
                "<|end|>",
                JsonNode.Parse(File.ReadAllText(Path.Combine(place, "tokenizer_config.json")))!["eos_token"]!.ToString());
            Assert.NotEmpty(JsonNode.Parse(File.ReadAllText(Path.Combine(place, "polymath.json")))!["golden"]!.AsArray());
        }
        var answer = CliProgram.Run(folder.Path, "generate", "run", "--prompt", "say 3", "--max-new-tokens", "4", "--seed", "1");
        Assert.True(answer.Code == 0, answer.All);
        File.AppendAllText(Path.Combine(stages[2], "model", "chat_template.jinja"), "x");
        Assert.Contains(
            "not the one the model was trained with",
            CliProgram.Run(folder.Path, "generate", "run", "--prompt", "say 3").Error);
    }

    [Fact]
    public void What_would_be_cut_beyond_the_declared_share_stops_the_run()
    {
        var result = Run(length: 40);
        Assert.Equal(2, result.Code);
        Assert.Contains("of the target tokens would be cut, more than batch.maxCut", result.Error);
    }

    [Fact]
    public void A_rendering_says_what_it_leaves_out_and_which_of_several_answers_it_shows()
    {
        folder.Write("rows.jsonl", """{"prompt": "q", "completion": ["one", "two"], "url": "u"}""" + "\n");
        folder.Write("list.json", """[{"role": "user", "content": "q", "value": "r"}, {"role": "assistant", "content": "a"}]""");
        CliResult Rendered(string file) => CliProgram.Run(folder.Path, "template", "render", "chatml", "--messages", file, "--mask");
        var several = Rendered("rows.jsonl");
        Assert.Contains("«one<|im_end|>", several.Out);
        Assert.Contains("rows.jsonl, line 1 has 2 answers, each a row of its own; the first is shown", several.Error);
        Assert.Contains("column 'url' is not used", several.Error);
        Assert.Contains("key 'value' of messages is not used", Rendered("list.json").Error);
        var idle = CliProgram.Run(
            folder.Path, "template", "render", "chatml", "--messages", "list.json", "--set", "enable_thinkin=false");
        Assert.Contains("does not use the variable 'enable_thinkin'", idle.Error);
        Assert.Contains(
            "'messages' is no variable to set",
            CliProgram.Run(folder.Path, "template", "render", "chatml", "--messages", "list.json", "--set", "messages=x").Error);
        var listed = CliProgram.Run(folder.Path, "template", "list").Out;
        Assert.Contains("no variables", listed);
        Assert.DoesNotContain("messages", listed);
    }

    [Fact]
    public void A_preview_shows_and_counts_and_prints_json()
    {
        Run("alpca");
        var shown = CliProgram.Run(folder.Path, "data", "preview", "talk.jsonl", "--template", "chatml", "--rows", "1");
        Assert.True(shown.Code == 0, shown.All);
        Assert.Contains("20 conversation", shown.Out);
        // In a pipe, signs replace the colours.
        Assert.Contains("<|im_start|>assistant\n«it is 0<|im_end|>»\n<|im_start|>user", shown.Out);
        folder.Write("long.jsonl", $$"""{"prompt": "say", "completion": "{{new string('a', 300)}}"}""" + "\n");
        var cut = CliProgram.Run(folder.Path, "data", "preview", "long.jsonl", "--max-length", "20").Out;
        Assert.Contains("~~", cut);
        Assert.Contains(" tokens more~~", cut);
        Assert.DoesNotContain(new string('a', 60), cut);
        Assert.Contains("No token is trained. Every answer is cut: raise --max-length.", cut);
        File.Copy(folder.At("talk.jsonl"), folder.At("talk.rows"));
        Assert.Contains("or --format jsonl to the command", CliProgram.Run(folder.Path, "data", "preview", "talk.rows").Error);
        Assert.Contains("20 conversation", CliProgram.Run(folder.Path, "data", "preview", "talk.rows", "--format", "jsonl").Out);
        var json = JsonNode.Parse(
            CliProgram.Run(folder.Path, "data", "preview", "pairs.jsonl", "--json", "--rows", "2", "--max-length", "30").Out)!;
        Assert.Equal(["chosen", "rejected"], json["shown"]!.AsArray().Select(row => row!["label"]!.ToString()));
        Assert.True((long)json["trained"]! > 0 && (long)json["untrained"]! > 0 && (long)json["cut"]! > 0);
        Assert.Contains(
            "There is no template named 'nix'",
            CliProgram.Run(folder.Path, "data", "preview", "talk.jsonl", "--template", "nix").Error);
    }
}
