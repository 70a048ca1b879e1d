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
    public void A_chosen_template_is_saved_and_the_default_one_with_it()
    {
        folder.Write(
            "tokenizer_config.json",
            """{"eos_token": "<|end|>", "chat_template": [{"name": "tool_use", "template": "t{{ messages[0].content }}"},"""
                + """ {"name": "default", "template": "d{{ messages[0].content }}"}]}""");
        var contract = TextContract.Load(folder.Path, Tokenizer).With("tool_use");
        using var kept = new ScratchFolder();
        contract.Save(kept.Path, Tokenizer);
        // Programs that know one template take the one that the model was trained with.
        Assert.StartsWith("t{{", File.ReadAllText(kept.At("chat_template.jinja")), StringComparison.Ordinal);
        for (var times = 0; times < 2; times++)
        {
            var again = TextContract.Load(kept.Path, Tokenizer);
            Assert.Equal(["default", "tool_use"], again.Layout!.Templates.Keys.Order(StringComparer.Ordinal));
            Assert.Equal("thi", Tokenizer.Decode(again.Encode([new Turn("hi")], Tokenizer)));
            Assert.Equal("dhi", Tokenizer.Decode(again.With("default").Encode([new Turn("hi")], Tokenizer)));
            again.Save(kept.Path, Tokenizer);
        }
    }

    [Theory]
    [InlineData("messages")]
    [InlineData("tools")]
    [InlineData("add_generation_prompt")]
    [InlineData("eos_token")]
    public void What_a_conversation_brings_itself_is_no_variable_to_set(string name)
    {
        folder.Write("tokenizer_config.json", """{"eos_token": "<|end|>", "chat_template": "{{ messages[0].content }}{{ mood }}"}""");
        var contract = TextContract.Load(folder.Path, Tokenizer);
        var fault = Assert.Throws<InputException>(() => contract.With(new JsonObject { [name] = "x" })).Message;
        Assert.Contains($"'{name}' is no variable to set", fault);
        Assert.Contains("The template has mood", fault);
    }

    [Fact]
    public void A_variable_that_no_template_reads_is_told_with_the_one_that_was_meant()
    {
        const string template = "{% if enable_thinking is not defined %}x{% endif %}{{ messages[0].content }}";
        folder.Write("tokenizer_config.json", new JsonObject { ["chat_template"] = template }.ToJsonString());
        var contract = TextContract.Load(folder.Path, Tokenizer);
        Assert.Null(contract.With(new JsonObject { ["enable_thinking"] = false }).Idle);
        var note = contract.With(new JsonObject { ["enable_thinkin"] = false }).Idle!;
        Assert.Contains("does not use the variable 'enable_thinkin'", note);
        Assert.Contains("did you mean 'enable_thinking'?", note);
    }

    [Theory]
    [InlineData("{% if not date is defined %}{% set date = 'now' %}{% endif %}{{ date }}{% set own = 1 %}{{ own }}", "date")]
    [InlineData("{% for m in messages %}{{ loop.index }}{{ m.role }}{{ bos_token }}{% endfor %}{{ m }}", "messages bos_token m")]
    [InlineData("{% macro say(a, b=c) %}{{ a ~ b ~ d }}{% endmacro %}{{ say(1) }}{{ raise_exception('no') if range(e | int) }}", "c d e")]
    [InlineData(
        "{% set ns = namespace(a=f) %}{% set ns.a = g[h:i] %}{{ [j, {k: l}] | join(n) }}{{ o is divisibleby(p) }}",
        "f g h i j k l n o p")]
    [InlineData("{% for a, b in c if d %}{{ b }}{% else %}{{ a }}{% endfor %}{% filter upper %}{{ e }}{% endfilter %}", "c d a e")]
    [InlineData("{% with a = b %}{{ a }}{% generation %}{{ c.a.d }}{% endgeneration %}{% endwith %}{{ not e and -f < g }}", "b c e f g")]
    public void The_variables_of_a_template_are_those_it_reads_before_it_sets_them(string source, string names) =>
        Assert.Equal(names, string.Join(' ', Polymath.Text.Templates.Jinja.JinjaTemplate.Parse(source).Variables));

    [Fact]
    public void What_a_user_says_is_learned_by_its_weight_under_marks_of_generation_too()
    {
        var layout = new ChatLayout(NamedTemplates.Find("chatml"), new Dictionary<string, string>());
        Assert.True(layout.For(tools: false).MarksGeneration);
        var messages = JsonNode.Parse("""
            [{"role": "user", "content": "ask", "weight": 1}, {"role": "assistant", "content": "say", "weight": 0},
             {"role": "user", "content": "more"}, {"role": "assistant", "content": "end"}]
            """)!.AsArray();
        var rendering = layout.Render(new Dialogue("k", messages), ["<|im_start|>", "<|im_end|>"]);
        Assert.Equal(["ask<|im_end|>", "end<|im_end|>"], Runs(rendering));
        Assert.Empty(rendering.Remarks);
    }

    private static List<string> Runs(Rendering rendering)
    {
        var runs = new List<string>();
        var open = false;
        foreach (var span in rendering.Spans)
        {
            if (span.Learn && open)
                runs[^1] += span.Text;
            else if (span.Learn)
                runs.Add(span.Text);
            open = span.Learn;
        }
        return runs;
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
