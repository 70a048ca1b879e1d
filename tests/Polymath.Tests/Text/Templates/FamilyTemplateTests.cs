using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Templates;

/// <summary>
/// Models that bring no chat template: their family's published one, or plain words that are read as other programs read them.
/// </summary>
[Trait("kind", "invariant")]
public sealed class FamilyTemplateTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void The_table_names_families_that_can_be_opened_and_templates_that_are_shipped()
    {
        Assert.Subset(ModelFolder.Families.ToHashSet(), FamilyTemplates.All.Select(line => line.Family).ToHashSet());
        Assert.Subset(NamedTemplates.Names.ToHashSet(), FamilyTemplates.All.Select(line => line.Template).ToHashSet());
    }

    [Theory]
    [InlineData("qwen2", "qwen", "qwen")]
    [InlineData("qwen3", "qwen", "chatml")]
    [InlineData("mistral", "llama2", "mistral")]
    [InlineData("mixtral", "llama2", "mistral")]
    [InlineData("gemma2", "llama2", null)]
    [InlineData("llama", "llama2", null)]
    [InlineData("gpt2", "gpt2", null)]
    [InlineData("chatglm", "llama2", null)]
    public void A_family_has_its_published_layout_where_the_tokens_are_there(string family, string tokens, string? template)
    {
        var (tokenizer, contract) = Found(TextFixtures.At("tokenizers", tokens), family);
        Assert.Equal(template, FamilyTemplates.Of(folder.Path, tokenizer));
        Assert.Equal(template is not null, contract.Recorded);
        var told = template is null ? "laid out in plain words" : $"published with, {template} (";
        Assert.Contains(told, contract.Note, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Tokenizers => new()
    {
        { "tokenizers", "llama2" }, { "tokenizers", "gpt2" }, { "tokenizers", "bert" }, { "tokenizers", "t5" },
        { "tokenizer-files", "llama_legacy" }, { "tokenizer-files", "llama2" }, { "tokenizer-files", "gpt2" },
        { "tokenizer-kinds", "uni_meta" }, { "tokenizer-kinds", "meta_first" },
    };

    // Templates and tokenizers are each held against transformers elsewhere: what it makes of a conversation is the one after the other.
    [Theory]
    [MemberData(nameof(Tokenizers))]
    public void The_layout_in_words_is_read_as_its_exported_template(string kind, string name)
    {
        var (tokenizer, contract) = Found(TextFixtures.At(kind, name), "llama");
        Assert.False(contract.Recorded);
        using var kept = new ScratchFolder();
        contract.Save(kept.Path, tokenizer);
        File.Delete(kept.At("polymath.json"));
        var tokens = new Dictionary<string, string>
        {
            ["bos_token"] = contract.Template.Begin, ["eos_token"] = contract.Template.End,
        };
        var exported = new ChatLayout(NamedTemplates.FromFile(kept.At("chat_template.jinja")), tokens);
        foreach (var dialogue in Talks())
        {
            var text = exported.Lay(dialogue, prompt: false).Text;
            Assert.Equal(tokenizer.Encode(text), contract.Render(dialogue, tokenizer).Tokenize(tokenizer).Ids);
        }
    }

    private static IEnumerable<Dialogue> Talks() => new[]
    {
        """[{"role": "user", "content": "Hello there"}]""",
        """[{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "You too"}]""",
        """
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " two\n lines"}, {"role": "assistant", "content": "4."},
         {"role": "user", "content": "以《江雪》为题"}, {"role": "assistant", "content": "no"}]
        """,
    }.Select((messages, i) => new Dialogue($"talk {i}", JsonNode.Parse(messages)!.AsArray()));

    [Fact]
    public void A_prompt_in_words_is_the_beginning_of_the_row_that_was_learned()
    {
        foreach (var name in new[] { "llama2", "gpt2" })
        {
            var (tokenizer, contract) = Found(TextFixtures.At("tokenizers", name), "llama");
            var row = contract.Render(new Conversation("k", [new Turn("Hello there", "You too")]), tokenizer).Tokenize(tokenizer);
            var prompt = contract.Encode([new Turn("Hello there")], tokenizer);
            Assert.Equal(prompt, row.Ids[..prompt.Length]);
            Assert.Equal(prompt.Length, row.Learn.TakeWhile(weight => weight == 0).Count());
            Assert.Equal("You too", contract.Answered(tokenizer.Decode(row.Ids.AsSpan(prompt.Length)), tokenizer));
        }
    }

    [Fact]
    public void A_layout_that_was_kept_with_parts_apart_stays_so()
    {
        var tokenizer = Tokenizer.Load(TextFixtures.At("tokenizers", "llama2"));
        // As it was written before conversations were read as one piece.
        folder.Write("polymath.json", """
            {"template": {"Begin": "<s>", "End": "</s>", "User": "User: ", "Assistant": "\nAssistant: ", "UserIsSpecial": false,
              "System": ""},
             "conversions": [], "golden": []}
            """);
        var contract = TextContract.Load(folder.Path, tokenizer);
        Assert.Equal(
            [
                tokenizer.IdOf("<s>")!.Value, .. tokenizer.EncodePlain("User: "), .. tokenizer.EncodePlain("hi"),
                .. tokenizer.EncodePlain("\nAssistant: "),
            ],
            contract.Encode([new Turn("hi")], tokenizer));
    }

    private (Tokenizer Tokenizer, TextContract Contract) Found(string tokens, string family)
    {
        folder.Write("config.json", $"{{\"model_type\": \"{family}\"}}");
        foreach (var file in Directory.GetFiles(tokens))
            File.Copy(file, folder.At(Path.GetFileName(file)), true);
        // Some of these bring a template, which is not asked for here.
        File.Delete(folder.At("chat_template.jinja"));
        var settings = folder.At("tokenizer_config.json");
        if (File.Exists(settings) && JsonNode.Parse(File.ReadAllText(settings)) is JsonObject given && given.Remove("chat_template"))
            File.WriteAllText(settings, given.ToJsonString());
        var tokenizer = Tokenizer.Load(folder.Path);
        return (tokenizer, TextContract.Load(folder.Path, tokenizer));
    }
}
