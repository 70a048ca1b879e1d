using Polymath.Recipes;

namespace Polymath.Tests.Text.Corpora;

/// <summary>What stands in a row and is not learned is told, wherever it stands.</summary>
[Trait("kind", "unit")]
public sealed class ToldTests : IDisposable
{
    private const string End = "<|im_end|>";

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private FilesSpec Write(string text) => ReadingScene.Source(folder.Write("rows.jsonl", text));

    private static Dictionary<string, FieldSpec> Fields(params (string Name, FieldSpec Spec)[] fields) =>
        fields.ToDictionary(field => field.Name, field => field.Spec);

    [Fact]
    public void Members_beside_those_that_fields_name_are_told_and_media_refused()
    {
        var named = Fields(("prompt", new("meta.ask")), ("answer", new("meta.reply.text")));
        var spec = Write("""{"meta": {"ask": "q", "reply": {"text": "a", "score": 3}, "url": "u", "none": null}}""" + "\n") with
        {
            Fields = named,
        };
        var preview = ReadingScene.Preview(spec);
        Assert.Equal($"a{End}", ReadingScene.Learned(preview));
        Assert.Contains("column 'meta.url' is not used", Assert.Single(preview.Notes));
        var seen = Write("""{"meta": {"ask": "q", "reply": {"text": "a"}, "image": "a.png"}}""" + "\n") with { Fields = named };
        Assert.Contains("'meta.image' holds \"a.png\", and a language model does not read it", ReadingScene.Fault(seen));
        Assert.Equal($"a{End}", ReadingScene.Learned(ReadingScene.Preview(seen with { Ignore = ["image"] })));
    }

    [Fact]
    public void A_second_name_of_a_message_s_content_is_told_where_it_says_something_else()
    {
        const string talk = """
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "value": "b", "from": "gpt"}]}
            {"messages": [{"role": "user", "content": "q", "text": "q"}, {"role": "assistant", "content": "a"}]}
            """;
        var preview = ReadingScene.Preview(Write(talk));
        Assert.Equal($"a{End} / a{End}", ReadingScene.Learned(preview));
        Assert.Contains(preview.Notes, note => note.Contains("key 'value' of messages is not used: 'content' is read"));
        Assert.DoesNotContain(preview.Notes, note => note.Contains("'text'"));
    }

    [Fact]
    public void A_key_that_the_template_knows_and_does_not_print_is_told()
    {
        const string talk = """
            {"messages": [{"role": "user", "content": "q", "name": "Ann"}, {"role": "assistant", "content": "a"}]}
            """;
        const string names = "{%- for m in messages %}<|im_start|>{{ m.role }}"
            + "{% if m.role == 'tool' %} {{ m.name }}{% endif %}\n{{ m.content }}<|im_end|>\n{% endfor %}";
        var template = folder.Write("names.jinja", names);
        Assert.Contains(
            "key 'name' of messages is not printed by the template", Assert.Single(ReadingScene.Preview(Write(talk), template).Notes));
        var printed = folder.Write("printed.jinja", names.Replace("m.role == 'tool'", "m.name"));
        Assert.Empty(ReadingScene.Preview(Write(talk), printed).Notes);
    }

    [Fact]
    public void A_list_becomes_a_text_where_the_recipe_says_how()
    {
        var rows = Write("""{"q": "who", "lines": ["one", "two"]}""" + "\n");
        var joined = rows with { Fields = Fields(("prompt", new("q")), ("answer", new("lines", Join: "; "))) };
        Assert.Equal($"one; two{End}", ReadingScene.Learned(ReadingScene.Preview(joined)));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(10)]
    [InlineData(23)]
    public void A_sample_has_its_size_and_takes_no_row_twice_before_all_are_taken(int size)
    {
        var all = Enumerable.Range(0, 10).Select(i => $$"""{"instruction": "q{{i}}", "output": "a{{i}}"}""" + "\n");
        var spec = Write(string.Concat(all)) with { Sample = size };
        List<string> Read(int seed) => [.. ReadingScene.Corpora(spec, seed: seed).Rows("d").Select(row => row.Key)];
        var rows = Read(1);
        Assert.Equal(size, rows.Count);
        Assert.Equal(Read(1), rows);
        var times = rows.GroupBy(key => key).Select(group => group.Count()).ToList();
        Assert.Equal(Math.Min(size, 10), times.Count);
        Assert.InRange(times.Max() - times.Min(), 0, 1);
        if (size % 10 != 0)
            Assert.NotEqual(Enumerable.Range(2, 5).Select(seed => string.Join(' ', Read(seed))).Append(string.Join(' ', rows)).Distinct(),
                [string.Join(' ', rows)]);
    }

    [Fact]
    public void The_number_of_samples_of_a_data_description_is_taken()
    {
        folder.Write("rows.json", "[" + string.Join(',', Enumerable.Range(0, 9)
            .Select(i => $$"""{"instruction": "q{{i}}", "input": "", "output": "a{{i}}"}""")) + "]");
        var info = folder.Write("dataset_info.json", """{"few": {"file_name": "rows.json", "num_samples": 4}}""");
        Assert.Equal(4, ReadingScene.Corpora(ReadingScene.Source(info + "#few")).Rows("d").Count);
    }
}
