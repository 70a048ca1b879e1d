using Polymath.Recipes;

namespace Polymath.Tests.Text.Corpora;

/// <summary>All parts of a row count: calls, pictures, weights, flags and inputs wherever they stand, and rows are counted once.</summary>
[Trait("kind", "unit")]
public sealed class WholeRowTests : IDisposable
{
    private const string End = "<|im_end|>";

    // A template that prints calls and thoughts.
    private const string Calls = "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
        + "{% if m.reasoning_content %}[{{ m.reasoning_content }}]{% endif %}{{ m.content or '' }}"
        + "{% for c in m.tool_calls or [] %}<{{ c.function.name }}>{% endfor %}<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private FilesSpec Write(params string[] rows) => ReadingScene.Source(folder.Write("rows.jsonl", string.Join('\n', rows) + "\n"));

    private FilesSpec WriteAs(string name, string text) => ReadingScene.Source(folder.Write(name, text));

    private FilesSpec Talk(params string[] messages) =>
        Write($$"""{"messages": [{{string.Join(", ", messages).ReplaceLineEndings(" ")}}]}""");

    private static string Message(string role, string content, string more = "") =>
        $$"""{"role": "{{role}}", "content": "{{content}}"{{more}}}""";

    private static string User => Message("user", "q");

    private static string Note => Message("note", "n");

    private static string Calling(string name, string more) =>
        Message("tool_call", $$$"""{\"name\": \"{{{name}}}\", \"arguments\": {}}""", more);

    private string Template => folder.Write("calls.jinja", Calls);

    private static string Learned(FilesSpec spec, string template = "chatml") =>
        ReadingScene.Learned(ReadingScene.Preview(spec, template));

    private static Dictionary<string, FieldSpec> Fields(params (string Name, string Path)[] fields) =>
        fields.ToDictionary(field => field.Name, field => new FieldSpec(field.Path));

    [Fact]
    public void The_advice_about_a_renamed_column_names_the_file_s_own_and_removes_only_its_rows()
    {
        var spec = Write("""{"ask": "q1", "reply": "a1"}""", """{"ask": "q2", "reply": null}""") with
        {
            Fields = Fields(("prompt", "ask"), ("answer", "reply")),
        };
        Assert.Contains(
            "line 2: 'reply' is null: the row has no answer. Correct it, or leave such rows out with where: [{field: reply, minimumLength:"
                + " 1}]",
            ReadingScene.Fault(spec));
        foreach (var name in new[] { "reply", "answer" })
            Assert.Equal($"a1{End}", Learned(spec with { Where = [new FilterSpec(name, MinimumLength: 1)] }));
    }

    [Fact]
    public void A_chosen_answer_that_is_only_a_call_is_learned()
    {
        const string call = """[{"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]""";
        var preview = ReadingScene.Preview(Write($$"""{"prompt": "q", "chosen": {{call}}, "rejected": "b"}"""), Template);
        Assert.Equal(1, preview.Shapes["preference"]);
        Assert.Equal($"<f>{End} / b{End}", ReadingScene.Learned(preview));
        var rows = ReadingScene.Corpora(Write($$"""{"prompt": "q", "chosen": {{call}}, "rejected": "b"}""")).Rows("d");
        Assert.Equal(2, Polymath.Text.Templates.RowTalk.Of(rows[0]).Messages.Count);
    }

    [Theory]
    [InlineData("""{"messages": [{"role": "user", "content": "<image>", "images": ["a.png"]}, {"role": "assistant", "content": "a"}]}""")]
    [InlineData("""{"messages": [{"role": "user", "content": "<image>", "images": "a.png"}, {"role": "assistant", "content": "a"}]}""")]
    [InlineData("""{"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a", "images": ["b.png"]}]}""")]
    [InlineData("""{"conversation": [{"human": "<image>", "assistant": "a", "images": ["a.png"]}]}""")]
    [InlineData("""{"instruction": "q", "output": "a", "history": [{"question": "<image>", "answer": "b", "images": ["a.png"]}]}""")]
    public void Pictures_inside_messages_are_refused_unless_they_are_ignored(string row)
    {
        var fault = ReadingScene.Fault(Write(row));
        Assert.Contains("has 'images': ", fault);
        Assert.Contains("a language model does not read it", fault);
        Assert.Contains("ignore: [images]", fault);
        var preview = ReadingScene.Preview(Write(row) with { Ignore = ["images"] });
        Assert.Contains($"a{End}", ReadingScene.Learned(preview));
        Assert.Contains(preview.Notes, note => note.StartsWith("key 'images' of messages is ignored (1 row", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("", $"<f><g>{End}|ok{End}")]
    [InlineData(", \"loss\": true", $"<f><g>{End}|ok{End}")]
    [InlineData(", \"loss\": false", $"<f>{End}|ok{End}")]
    public void Calls_that_follow_each_other_are_one_message_only_where_they_are_learned_alike(string second, string learned)
    {
        var weight = second.Length > 0 ? ", \"loss\": true" : "";
        Assert.Equal(learned, Learned(
            Talk(User, Calling("f", weight), Calling("g", second), Message("assistant", "ok")),
            Template));
    }

    [Fact]
    public void A_message_that_calls_keeps_its_thought_and_its_other_keys()
    {
        var preview = ReadingScene.Preview(Talk(User, Calling("f", ", \"reasoning_content\": \"why\", \"mood\": \"x\"")), Template);
        Assert.Equal($"[why]<f>{End}", ReadingScene.Learned(preview));
        Assert.Contains(preview.Notes, note => note.StartsWith("key 'mood' of messages is not printed", StringComparison.Ordinal));
        const string parts = """
            {"role": "tool_call", "content": [{"type": "reasoning", "text": "why"},
             {"type": "tool_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}]}
            """;
        Assert.Equal($"[why]<f>{End}", Learned(Talk(User, parts), Template));
    }

    [Fact]
    public void An_input_in_the_history_is_read_and_other_keys_are_told()
    {
        const string history = """
            [{"instruction": "Translate", "input": "Hello", "output": "Hallo", "score": 3}, 
            """ + """{"system": "be brief", "question": "x", "answer": "no", "weight": 0}]""";
        var preview = ReadingScene.Preview(Write($$"""{"instruction": "q", "output": "a", "history": {{history}}}"""));
        Assert.Equal($"Hallo{End}|a{End}", ReadingScene.Learned(preview));
        Assert.Contains("Translate\nHello", ReadingScene.All(preview));
        Assert.Contains("be brief", ReadingScene.All(preview));
        Assert.StartsWith("key 'score' of messages is not used (1 row", Assert.Single(preview.Notes));
    }

    [Fact]
    public void Of_two_system_messages_the_one_among_the_messages_can_be_left_out()
    {
        var talk = $"[{Message("system", "two")}, {User}, {Message("assistant", "a")}]";
        var spec = Write($$"""{"system": "one", "messages": {{talk}}}""");
        Assert.Contains("ignore: [messages.system]", ReadingScene.Fault(spec));
        var read = ReadingScene.All(ReadingScene.Preview(spec with { Ignore = ["messages.system"] }));
        Assert.Contains("one", read);
        Assert.DoesNotContain("two", read);
    }

    [Fact]
    public void A_column_that_is_a_flag_in_one_row_only_is_refused_until_the_recipe_says_what_it_is()
    {
        foreach (var order in new[] { new[] { 0, 3 }, [2, 1] })
        {
            var spec = Write([.. order.Select(label => $$"""{"question": "q", "answer": "a{{label}}", "label": {{label}}}""")]);
            var fault = ReadingScene.Fault(spec);
            Assert.Contains("line 2: column 'label' says whether an answer is good in one row", fault);
            Assert.Contains("ignore: [label]", fault);
            Assert.Equal($"a{order[0]}{End} / a{order[1]}{End}", Learned(spec with { Ignore = ["label"] }));
        }
        Assert.Equal(2, ReadingScene.Preview(Write(
            """{"question": "q", "answer": "a", "label": 0}""", """{"question": "q", "answer": "b", "label": 1}""")).Shapes["kto"]);
    }

    [Theory]
    [InlineData("""{"text": "t", "weight": 0}""", "'weight' is 0")]
    [InlineData("""{"text": "t", "train": false}""", "'train' is false")]
    [InlineData("""{"text": "t", "label": "x", "loss_weight": 0.5}""", "'loss_weight' is 0.5")]
    [InlineData("""{"text": "t", "masked": true}""", "'masked' is true")]
    [InlineData("""{"instruction": "q", "output": "a", "mask": true}""", "'mask' is true")]
    public void A_row_that_says_it_is_not_learned_like_the_others_is_refused_in_every_shape(string row, string what)
    {
        var fault = ReadingScene.Fault(Write(row));
        Assert.Contains(what, fault);
        Assert.Contains("where", fault);
    }

    [Fact]
    public void A_text_s_column_that_is_no_weight_is_told()
    {
        var preview = ReadingScene.Preview(Write("""{"text": "t", "train": "A 12", "weight": 4200, "mask": false}"""));
        Assert.Equal(3, preview.Notes.Count);
        Assert.All(preview.Notes, note => Assert.Contains("is not used (1 row", note));
    }

    [Fact]
    public void An_answer_before_the_pair_is_the_worse_one_or_refused()
    {
        var talk = $$"""{"messages": [{{User}}, {{Message("assistant", "bad")}}], "chosen": "good", "rejected": "REJECTED"}""";
        Assert.Equal($"good{End} / bad{End}", Learned(Write(talk.Replace("REJECTED", "bad"))));
        Assert.DoesNotContain("badbad", ReadingScene.All(ReadingScene.Preview(Write(talk.Replace("REJECTED", "bad")))));
        Assert.Contains("end with an answer that is neither of the two: \"bad\"", ReadingScene.Fault(Write(talk)));
    }

    [Fact]
    public void Of_several_names_of_a_content_the_one_with_a_value_is_read() =>
        Assert.Equal($"a{End}", Learned(Talk(
            """{"from": "human", "value": "q", "role": null, "content": null}""",
            """{"from": "gpt", "value": "a", "role": null, "content": null}""")));

    [Fact]
    public void A_row_counts_once_however_many_of_its_messages_are_meant()
    {
        var talk = $"{Message("user", "q", ", \"x\": 1")}, {Message("assistant", "a", ", \"x\": 2")}, {Note}, {Note}";
        var row = $$"""{"messages": [{{talk}}]}""";
        var preview = ReadingScene.Preview(Write(row, row) with { Ignore = ["note"] });
        Assert.All(preview.Notes, note => Assert.Contains("(2 rows, first ", note));
        Assert.Equal(2, preview.Notes.Count);
    }

    [Theory]
    [InlineData("a.csv", ",instruction,output\n0,q,a\n")]
    [InlineData("a.tsv", "question (short, plain, clear)\tanswer\nq\ta\n")]
    public void Tables_as_pandas_and_others_write_them_are_read(string name, string text)
    {
        var spec = WriteAs(name, text);
        var preview = ReadingScene.Preview(
            name == "a.tsv" ? spec with { Fields = Fields(("prompt", "question (short, plain, clear)")) } : spec);
        Assert.Equal($"a{End}", ReadingScene.Learned(preview));
        if (name == "a.csv")
            Assert.StartsWith("column 'Unnamed: 0' is not used (1 row", Assert.Single(preview.Notes));
    }

    [Fact]
    public void Only_half_a_pair_is_called_half_a_pair()
    {
        Assert.Contains("half a surrogate pair", ReadingScene.Fault(Write("""{"instruction": "q", "output": {"a": "\ud800"}}""")));
        Assert.Contains("half a surrogate pair", ReadingScene.Fault(Write("""{"instruction": "q", "output": "\ud800"}""")));
        Assert.True(Polymath.Text.JsonValues.HasHalfPair(System.Text.Json.Nodes.JsonNode.Parse("""[{"a": ["\udc00"]}]""")));
        Assert.False(Polymath.Text.JsonValues.HasHalfPair(System.Text.Json.Nodes.JsonNode.Parse("""[{"a": ["\ud83d\ude00", 1, null]}]""")));
    }
}
