using System.Text.Json.Nodes;
using Polymath.Models.Decoding;
using Polymath.Tests.Models;
using Polymath.Tests.Text;

namespace Polymath.Tests.Cli;

/// <summary><c>generate</c>: the settings of the model's folder, system messages, conversations.</summary>
[Trait("kind", "invariant")]
public sealed class GenerateTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public GenerateTests()
    {
        using var talker = Toy.Talker();
        talker.Save(folder.At("model"));
    }

    public void Dispose() => folder.Dispose();

    private CliResult Generate(params string[] more) => CliProgram.Run(folder.Path, ["generate", "model", .. more]);

    private static JsonNode Answer(CliResult result)
    {
        Assert.True(result.Code == 0, result.All);
        return JsonNode.Parse(result.Out)!;
    }

    [Fact]
    public void The_models_folder_sets_what_no_option_says()
    {
        folder.Write(
            "model/" + GenerationConfig.FileName,
            "{\"do_sample\": false, \"top_p\": 0.5, \"max_new_tokens\": 3, \"repetition_penalty\": 1.5, \"eos_token_id\": [40]}");
        var result = Generate("--prompt", "abc", "--raw", "--json");
        var answer = Answer(result);
        Assert.InRange(answer["tokens"]!.AsArray().Count, 0, 3);
        Assert.Equal(
            "polymath: the model's generation_config.json sets max-new-tokens 3, repetition-penalty 1.5, temperature 0; an option such "
                + "as --max-new-tokens sets another value.\n",
            result.Error);
        Assert.Contains((string)answer["finish"]!, new[] { "stop", "length" });
        Assert.True(answer.AsObject().ContainsKey("endToken"));
        Assert.Equal((string)answer["text"]!, (string)Answer(Generate("--prompt", "abc", "--raw", "--json"))["text"]!);
        var own = Generate("--prompt", "abc", "--json", "--max-new-tokens", "2", "--temperature", "0.7", "--repetition-penalty", "1");
        Assert.Contains("sets top-p 0.5; an option such as --top-p", own.Error);
        folder.Write("model/" + GenerationConfig.FileName, "{\"do_sample\": true, \"top_p\": 0}");
        var refused = Generate("--prompt", "abc");
        Assert.Equal(2, refused.Code);
        Assert.Contains("The model's generation_config.json: top-p is 0; it must be above 0", refused.Error);
        folder.Write("model/" + GenerationConfig.FileName, "{\"top_k\": \"many\"}");
        Assert.Contains("generation_config.json: top_k is \"many\"; write a number, or remove it.", Generate("--prompt", "abc").Error);
    }

    [Fact]
    public void Settings_of_the_models_folder_are_used_or_named()
    {
        folder.Write(
            "model/" + GenerationConfig.FileName,
            "{\"do_sample\": true, \"min_p\": 0.3, \"stop_strings\": [\"e\"], \"num_beams\": 4, \"no_repeat_ngram_size\": 0, "
                + "\"bad_words_ids\": [[3]], \"forced_eos_token_id\": null, \"typical_p\": 1.0}");
        var result = Generate("--prompt", "abc", "--raw", "--json", "--seed", "3");
        Assert.DoesNotContain("e", (string)Answer(result)["text"]!);
        Assert.Contains("also sets num_beams 4, bad_words_ids [[3]], which Polymath does not use", result.Error);
        Assert.Contains("sets stop \"e\", temperature 1, min-p 0.3;", result.Error);
        var own = Generate("--prompt", "abc", "--raw", "--json", "--seed", "3", "--stop", "q", "--min-p", "0", "--temperature", "0");
        Assert.DoesNotContain("min-p", own.Error);
        Assert.DoesNotContain("stop \"", own.Error);
        folder.Write("model/" + GenerationConfig.FileName, "{\"stop_strings\": [1]}");
        Assert.Contains("stop_strings is [1]; write a text or a list of texts", Generate("--prompt", "abc").Error);
    }

    [Fact]
    public void An_answer_that_ends_at_a_length_nobody_chose_says_so()
    {
        folder.Write(
            "model/" + GenerationConfig.FileName, "{\"do_sample\": false, \"max_new_tokens\": 2, \"eos_token_id\": 1}");
        const string told = "the answer stops here after 2 new tokens; --max-new-tokens N allows more";
        Assert.Contains(told, Generate("--prompt", "abc", "--raw").Error);
        Assert.Contains(told, CliProgram.Say(folder.Path, "abc\n", "chat", "model").Error);
        Assert.DoesNotContain("stops here", Generate("--prompt", "abc", "--raw", "--json").Error);
        Assert.DoesNotContain("stops here", Generate("--prompt", "abc", "--raw", "--max-new-tokens", "2").Error);
        Assert.Contains("context of 48 tokens is full", Generate("--prompt", "abc", "--raw", "--max-new-tokens", "99").Error);
    }

    [Fact]
    public void A_system_message_and_messages_in_rows_are_one_conversation()
    {
        string[] greedy = ["--temperature", "0", "--max-new-tokens", "5"];
        var one = Answer(Generate(["--prompt", "abc", "--system", "be kind", "--json", .. greedy]));
        folder.Write("rows.jsonl", """
            {"prompt": "abc", "id": 7, "note": {"a": [1]}}
            {"messages": [{"role": "user", "content": "abc"}], "id": "x"}
            {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "abc"}]}
            {"messages": [{"role": "system", "content": "go"}, {"role": "user", "content": "abc"}]}
            """);
        var result = Generate(["--input", "rows.jsonl", "--system", "be kind", .. greedy]);
        Assert.True(result.Code == 0, result.All);
        var rows = result.Out.TrimEnd('\n').Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(4, rows.Count);
        foreach (var row in rows[..3])
        {
            Assert.Equal((string)one["text"]!, (string)row["generated"]!["text"]!);
            Assert.Equal((int)one["promptTokens"]!, (int)row["generated"]!["promptTokens"]!);
        }
        Assert.Equal((7, 1), ((int)rows[0]["id"]!, (int)rows[0]["note"]!["a"]![0]!));
        Assert.Equal("x", (string)rows[1]["id"]!);
        Assert.Equal("abc", (string)rows[1]["messages"]![0]!["content"]!);
        Assert.Equal((int)one["promptTokens"]! - 5, (int)rows[3]["generated"]!["promptTokens"]!);
    }

    [Theory]
    [InlineData("{\"messages\": []}", "rows.jsonl, line 1: messages is []; write a list such as")]
    [InlineData("{\"messages\": [{\"role\": \"user\"}]}", "message 1 is {\"role\":\"user\"}; write its role and its content")]
    [InlineData("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}", "the last message has the role 'assistant'")]
    [InlineData("{\"prompt\": \"a\", \"messages\": [1]}", "the row has a prompt and messages")]
    [InlineData("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "the row has messages, but --raw", "--raw")]
    [InlineData("{\"prompt\": \"a\"}", "no place for --system", "--raw", "--system", "x")]
    public void Rows_that_are_no_conversation_are_refused(string row, string what, params string[] more)
    {
        folder.Write("rows.jsonl", row);
        var result = Generate(["--input", "rows.jsonl", .. more]);
        Assert.Equal(2, result.Code);
        Assert.Contains(what, result.Error);
    }
}
