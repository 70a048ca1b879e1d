using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Templates;

/// <summary>The shipped templates, and models with their own: text, what is learned, and what is saved with a model.</summary>
[Trait("kind", "parity")]
public sealed class NamedTemplateTests : IDisposable
{
    private static readonly JsonNode Fixture = JsonNode.Parse(File.ReadAllBytes(TextFixtures.At("chat", "named_templates.json")))!;
    private static readonly Tokenizer Tokenizer = Toy.Letters().Tokenizer;
    private readonly ScratchFolder folder = new();

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, Fixture["cases"]!.AsArray().Count)];

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_shipped_template_renders_as_transformers_renders_it(int index)
    {
        var item = Fixture["cases"]![index]!;
        var messages = Fixture["conversations"]![item["conversation"]!.ToString()]!.DeepClone().AsArray();
        var layout = new ChatLayout(
            NamedTemplates.Find(item["template"]!.ToString()),
            new Dictionary<string, string> { ["bos_token"] = "<s>", ["eos_token"] = "</s>" });
        var rendering = layout.Render(new Dialogue("k", messages), ["<s>", "</s>"]);
        Assert.Equal(item["output"]!.ToString(), string.Concat(rendering.Spans.Select(span => span.Text)));
        var text = layout.Lay(new Dialogue("k", messages), messages[^1]!["role"]!.ToString() != "assistant");
        var runes = text.Text.EnumerateRunes().ToList();
        Assert.Equal(
            item["spans"]!.AsArray().Select(span => string.Concat(runes[(int)span![0]!..(int)span[1]!])),
            rendering.Spans.Where(span => span.Learn).Select(span => span.Text));
    }

    [Fact]
    public void Every_name_of_a_recipe_is_a_shipped_template()
    {
        Assert.Equal(
            NamedTemplates.Names, Enum.GetNames<TemplateName>().Select(name => name.ToLowerInvariant()).Order(StringComparer.Ordinal));
        Assert.Contains("Shipped ones are alpaca", Assert.Throws<InputException>(() => NamedTemplates.Find("alpca")).Message);
    }

    [Theory]
    [InlineData("<|user|>{{ messages[0].content }}<|assistant|>{% for m in messages[1:] %}{{ m.content }}<|end|>\n{% endfor %}")]
    [InlineData("<|user|>{{ messages[0].content }}<|assistant|>{% for m in messages[1:] %}{% generation %}{{ m.content }}<|end|>{% "
        + "endgeneration %}{{ '\\n' }}{% endfor %}")]
    public void A_models_own_template_lays_out_and_its_answers_are_learned_whether_it_marks_them_or_not(string template)
    {
        folder.Write("chat_template.jinja", template);
        folder.Write(
            "tokenizer_config.json",
            """{"bos_token": "<|begin|>", "eos_token": {"content": "<|end|>"}, "chat_template": "not this one"}""");
        var contract = TextContract.Load(folder.Path, Tokenizer);
        Assert.True(contract.Recorded);
        var row = contract.Render(new Conversation("k", [new Turn("hi", "yo")]), Tokenizer).Tokenize(Tokenizer);
        Assert.Equal("<|user|>hi<|assistant|>[y][o][<|end|>]<0x0A>", string.Concat(
            row.Ids.Select((id, i) => row.Learn[i] == 0 ? Tokenizer.TokenOf(id) : $"[{Tokenizer.TokenOf(id)}]")));
        Assert.Equal([Tokenizer.IdOf("<|end|>")!.Value], contract.Ends(Tokenizer));
        var spelled = contract.Encode([new Turn("a<|end|>b")], Tokenizer);
        Assert.DoesNotContain(Tokenizer.IdOf("<|end|>")!.Value, spelled);

        using var kept = new ScratchFolder();
        contract.Save(kept.Path, Tokenizer);
        Assert.Equal(template, File.ReadAllText(kept.At("chat_template.jinja")));
        var again = TextContract.Load(kept.Path, Tokenizer);
        Assert.Equal(spelled, again.Encode([new Turn("a<|end|>b")], Tokenizer));
        kept.Write("chat_template.jinja", template.Replace("<|assistant|>", "", StringComparison.Ordinal));
        Assert.Contains(
            "not the one the model was trained with",
            Assert.Throws<InputException>(() => TextContract.Load(kept.Path, Tokenizer)).Message);
    }

    [Fact]
    public void Of_several_templates_the_default_one_is_taken()
    {
        folder.Write(
            "tokenizer_config.json",
            """{"eos_token": "<|end|>", "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d{{"""
                + """ messages[0].content }}"}]}""");
        var contract = TextContract.Load(folder.Path, Tokenizer);
        Assert.Equal("dhi", Tokenizer.Decode(contract.Encode([new Turn("hi")], Tokenizer)));
        Assert.StartsWith(
            "### Instruction:",
            contract.With("alpaca").Layout!
                .Lay(new Dialogue("k", [Dialogue.Message("system", ""), Dialogue.Message("user", "x")]), true).Text.Trim());
    }

    [Fact]
    public void A_template_that_refuses_the_roles_is_told_by_its_file()
    {
        folder.Write("chat_template.jinja", "{{ raise_exception('no') }}");
        var contract = TextContract.Load(folder.Path, Tokenizer);
        Assert.Contains(
            "chat_template.jinja, line 1: the template refuses the conversation: no.",
            Assert.Throws<InputException>(() => contract.Encode([new Turn("x")], Tokenizer)).Message);
    }
}
