using System.Text.Json.Nodes;
using CsCheck;
using Polymath.Recipes;
using Polymath.Text.Templates;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Tests.Text.Templates;

/// <summary>
/// Each answer is learned as it stands in the one full rendering, with the token that ends it, whatever a template does around it.
/// </summary>
[Trait("kind", "unit")]
public sealed class AnswerMaskTests
{
    private const string Talk = """
        [{"role": "user", "content": "q one"}, {"role": "assistant", "content": "ANS1"}, {"role": "user", "content": "q two"},
         {"role": "assistant", "content": "ANS2"}, {"role": "user", "content": "q three"}, {"role": "assistant", "content": "ANS3"}]
        """;

    private const string Called = """
        [{"role": "user", "content": "q"}, {"role": "assistant", "content": null, "tool_calls": [
         {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}]},
         {"role": "tool", "content": "sunny"}, {"role": "assistant", "content": "It shines."}]
        """;

    // The next speaker's mark ends an answer, as in GLM-4.6's published template.
    private const string NextSpeaker = """
        [gMASK]<sop>{% for m in messages %}<|{{ 'observation' if m.role == 'tool' else m.role }}|>
        {{ m.content or '' }}{% for call in m.tool_calls or [] %}
        <tool_call>{{ call.function.name }}
        {{ call.function.arguments | tojson }}</tool_call>{% endfor %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}
        """;

    private static readonly Dictionary<string, string> Tokens = new() { ["bos_token"] = "<s>", ["eos_token"] = "</s>" };

    private static ChatLayout Named(string file) => Of(File.ReadAllText(TextFixtures.At("reading", "templates", file + ".jinja")));

    private static ChatLayout Of(string template) => new(JinjaTemplate.Parse(template), Tokens);

    private static Rendering Render(ChatLayout layout, string messages) =>
        layout.Render(new Dialogue("row 1", JsonNode.Parse(messages)!.AsArray()), []);

    private static string Learned(Rendering rendering)
    {
        var text = "";
        var open = false;
        foreach (var span in rendering.Spans)
        {
            if (span.Learn)
                text += open || text.Length == 0 ? span.Text : "|" + span.Text;
            open = span.Learn;
        }
        return text;
    }

    [Fact]
    public void A_talk_of_many_turns_is_read_in_proportion_to_its_length()
    {
        var layout = Named("tail");
        Rendering Talked(int turns) => Render(layout, new JsonArray([.. Enumerable.Range(0, turns).Select(i => (JsonNode)new JsonObject
        {
            ["role"] = i % 2 == 0 ? "user" : "assistant",
            ["content"] = $"words of turn {i}",
        })]).ToJsonString());
        var counted = new CountingTokenizer(["<|user|>", "<|assistant|>", "<|end|>"]);
        long Read(int turns)
        {
            counted.Letters = 0;
            var row = Talked(turns).Tokenize(counted);
            // Every letter of an answer is learned, and its end as one token.
            Assert.Equal(Learned(Talked(turns)).Replace("|words", "words").Replace("<|end|>", "E").Length, row.Learn.Count(w => w > 0));
            return counted.Letters;
        }
        var (once, tenTimes) = (Read(20), Read(200));
        Assert.InRange((double)tenTimes / once, 1, 15);
    }

    [Theory]
    [InlineData("decorated-last-turn", "ANS1<|im_end|>|ANS2<|im_end|>|<think>\n\n</think>\n\nANS3<|im_end|>")]
    [InlineData("next-message", "ANS1</s>|ANS2</s>|ANS3</s>")]
    [InlineData("opened-thought", "ANS1<|im_end|>|ANS2<|im_end|>|ANS3<|im_end|>")]
    [InlineData("tail", "ANS1<|end|>|ANS2<|end|>|ANS3<|end|>")]
    public void Every_answer_is_learned_with_its_end(string template, string learned)
    {
        var layout = Named(template);
        var rendering = Render(layout, Talk);
        Assert.Equal(learned, Learned(rendering));
        // Finding the answers does not change the text.
        Assert.Equal(layout.Lay(new Dialogue("row 1", JsonNode.Parse(Talk)!.AsArray()), prompt: false).Text, string.Concat(
            rendering.Spans.Select(span => span.Text)));
        Assert.Empty(rendering.Remarks);
    }

    [Theory]
    [InlineData("decorated-last-turn")]
    [InlineData("next-message")]
    [InlineData("opened-thought")]
    [InlineData("tail")]
    public void Whatever_answers_say_they_are_learned_and_no_user_is(string template)
    {
        var layout = Named(template);
        string[] texts =
        [
            "a", "assistant", " edges ", "\n\nlines\n", "<|im_end|>", "</s>", "[assistant] ", "你好👍", "x</think>y", "e\u0301", "{{ x }}",
            "1",
        ];
        var text = Gen.Int[0, texts.Length - 1].Select(i => texts[i]);
        Gen.Select(text, text).Array[1, 4].Sample(turns =>
        {
            var messages = new JsonArray();
            foreach (var (asked, answer) in turns)
            {
                messages.Add(Dialogue.Message("user", asked));
                messages.Add(Dialogue.Message("assistant", answer));
            }
            var rendering = layout.Render(new Dialogue("row", messages), ["<|im_end|>", "</s>", "<|im_start|>"]);
            var learned = Learned(rendering);
            var end = template switch { "tail" => "<|end|>", "next-message" => "</s>", _ => "<|im_end|>" };
            var expected = turns.Select((turn, i) =>
                (template == "decorated-last-turn" && i + 1 == turns.Length ? "<think>\n\n</think>\n\n" : "") + turn.Item2 + end);
            Assert.Equal(string.Join('|', expected), learned);
        }, iter: 300, threads: 1);
    }

    [Fact]
    public void An_answer_that_is_ended_by_the_next_speaker_learns_that_mark_and_the_last_one_too()
    {
        var layout = Of(NextSpeaker);
        Assert.Equal("\nANS1<|user|>|\nANS2<|user|>|\nANS3<|user|>", Learned(Render(layout, Talk)));
        Assert.Equal(["<|user|>"], layout.EndsOf([]).Names);
        Assert.Contains("</tool_call><|observation|>|\nIt shines.<|user|>", Learned(Render(layout, Called)));
    }

    [Fact]
    public void The_shipped_templates_without_an_end_learn_the_next_speakers_mark()
    {
        // ChatGLM3 reads each message as a text of its own, which begins with a space.
        foreach (var (name, lead) in new[] { ("glm4", "\n"), ("chatglm3", "\n ") })
            Assert.Equal($"{lead}ANS1<|user|>|{lead}ANS2<|user|>|{lead}ANS3</s>", Learned(
                Render(new ChatLayout(NamedTemplates.Find(name), Tokens), Talk)));
    }

    [Fact]
    public void Answers_weigh_what_their_messages_say()
    {
        var messages = Talk.Replace("\"ANS1\"", "\"ANS1\", \"weight\": 0", StringComparison.Ordinal)
            .Replace("\"ANS2\"", "\"ANS2\", \"weight\": 0.5", StringComparison.Ordinal)
            .Replace("\"q three\"", "\"q three\", \"weight\": 1", StringComparison.Ordinal);
        foreach (var layout in new[] { Named("tail"), new ChatLayout(NamedTemplates.Find("phi"), Tokens) })
        {
            var rendering = Render(layout, messages);
            Assert.DoesNotContain(rendering.Spans, span => span.Learn && span.Text.Contains("ANS1", StringComparison.Ordinal));
            Assert.Equal(0.5f, Assert.Single(rendering.Spans, span => span.Text.StartsWith("ANS2", StringComparison.Ordinal)).Target);
            Assert.DoesNotContain("weight", string.Concat(rendering.Spans.Select(span => span.Text)), StringComparison.Ordinal);
        }
        Assert.Contains("q three<|end|>", Learned(Render(Named("tail"), messages)));
    }

    [Fact]
    public void What_a_template_drops_or_changes_is_remarked()
    {
        const string drops = "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] | upper if loop.last else "
            + "m.content.split('</think>')[-1] }}<|end|>{% endfor %}";
        const string messages = """
            [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>deep</think>a1"}, {"role": "user", "content": "q2"},
             {"role": "assistant", "content": "last", "mood": "glad"}]
            """;
        var remarks = Render(Of(drops), messages).Remarks;
        Assert.Contains(new LayoutRemark(1, LayoutRemarkKind.ThoughtLeftOut, ""), remarks);
        Assert.Contains(new LayoutRemark(3, LayoutRemarkKind.KeyLeftOut, "mood"), remarks);
        Assert.Contains(new LayoutRemark(3, LayoutRemarkKind.AnswerChanged, ""), remarks);
    }

    [Fact]
    public void A_message_that_is_not_printed_is_refused_by_role()
    {
        const string deaf = "{% for m in messages if m.role != 'developer' %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}";
        const string messages =
            """[{"role": "developer", "content": "RULES"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]""";
        var fault = Assert.Throws<InputException>(() => Render(Of(deaf), messages)).Message;
        Assert.StartsWith("row 1: ", fault, StringComparison.Ordinal);
        Assert.Contains("message 1 (role developer)", fault, StringComparison.Ordinal);
        Assert.Contains("ignore: [developer]", fault, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{% for m in messages %}<|{{ m.role }}|>{{ '' + m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name + "
        + "c.function.arguments }}{% endfor %}<|end|>{% endfor %}")]
    [InlineData("{% for m in messages %}<|{{ m.role }}|>{{ m.content[0].text }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{% "
        + "endfor %}<|end|>{% endfor %}")]
    [InlineData("{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}{% for c in m.tool_calls or [] %}{% for k, v in "
        + "c.function.arguments.items() %}{{ c.function.name }}{{ k }}{% endfor %}{% endfor %}<|end|>{% endfor %}")]
    public void A_template_gets_calls_and_contents_in_the_form_that_it_takes(string template) =>
        Assert.EndsWith("|It shines.<|end|>", Learned(Render(Of(template), Called)), StringComparison.Ordinal);

    [Fact]
    public void Of_several_templates_the_one_for_tools_is_taken_where_there_are_tools()
    {
        var templates = new Dictionary<string, JinjaTemplate>
        {
            ["default"] = JinjaTemplate.Parse("{% for m in messages %}D{{ m.content }}<|end|>{% endfor %}"),
            ["tool_use"] = JinjaTemplate.Parse("{% for t in tools %}{{ t.function.name }}{% endfor %}{% for m in messages %}T{{ m.content "
                + "}}<|end|>{% endfor %}"),
        };
        var layout = new ChatLayout(templates, Tokens);
        var talk = JsonNode.Parse("""[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]""")!.AsArray();
        var tools = JsonNode.Parse("""[{"type": "function", "function": {"name": "f"}}]""")!.AsArray();
        Assert.Equal("Dq<|end|>Da<|end|>", string.Concat(layout.Render(new Dialogue("k", talk), []).Spans.Select(span => span.Text)));
        Assert.StartsWith("f", layout.Render(new Dialogue("k", talk, tools), []).Spans[0].Text, StringComparison.Ordinal);
        var without = new ChatLayout(new Dictionary<string, JinjaTemplate> { ["rag"] = templates["default"] }, Tokens);
        Assert.Contains("rag", Assert.Throws<InputException>(() => without.Render(new Dialogue("k", talk), [])).Message);
        Assert.Equal("Dq<|end|>Da<|end|>", string.Concat(
            without.With("rag", null).Render(new Dialogue("k", talk), []).Spans.Select(span => span.Text)));
    }

    [Fact]
    public void Variables_reach_the_template()
    {
        var layout = Of("{% for m in messages %}{{ m.content }}{% if not enable_thinking %}!{% endif %}<|end|>{% endfor %}");
        var variables = TemplateVariables.Of(new Dictionary<string, string> { ["enable_thinking"] = "true", ["n"] = "3", ["word"] = "so" });
        Assert.Equal("""{"enable_thinking":true,"n":3,"word":"so"}""", variables.ToJsonString());
        var talk = JsonNode.Parse("""[{"role": "user", "content": "q"}]""")!.AsArray();
        Assert.Equal("q!<|end|>", layout.Lay(new Dialogue("k", talk), false).Text);
        Assert.Equal("q<|end|>", layout.With(null, variables).Lay(new Dialogue("k", talk), false).Text);
    }

    [Fact]
    public void A_template_that_needs_tools_is_understood_with_some()
    {
        const string needy = "{% if not tools %}{{ raise_exception('no tools') }}{% endif %}{{ tools[0].function.name }}{% for m in "
            + "messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name "
            + "}}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        var tools = JsonNode.Parse("""[{"type": "function", "function": {"name": "weather"}}]""")!.AsArray();
        var rendering = Of(needy).Render(new Dialogue("row", JsonNode.Parse(Called)!.AsArray(), tools), ["<|im_start|>", "<|im_end|>"]);
        Assert.Equal("<tool_call>weather</tool_call><|im_end|>|It shines.<|im_end|>", Learned(rendering));
    }
}
