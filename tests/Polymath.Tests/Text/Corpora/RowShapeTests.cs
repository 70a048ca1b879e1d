using System.Text.Json.Nodes;
using CsCheck;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Tests.Text.Corpora;

/// <summary>The shapes of published data, and their previews.</summary>
[Trait("kind", "unit")]
public sealed class RowShapeTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static SourceRow Source(JsonObject values) => new(values, new RowPlace("f.jsonl", "line", 1));

    private static string Said(IReadOnlyDictionary<string, string> fields) =>
        string.Join("|", JsonNode.Parse(fields["messages"])!.AsArray().Select(message => $"{message!["role"]}:{message["content"]}"));

    [Theory]
    [InlineData("""{"instruction": "add", "input": "1 2", "output": "3"}""", DataShape.Alpaca, "user:add\n1 2|assistant:3")]
    [InlineData("""{"instruction": "and?", "input": "", "output": "4", "system": "s", "history": [["a", "b"]]}""", DataShape.Alpaca,
        "system:s|user:a|assistant:b|user:and?|assistant:4")]
    [InlineData("""{"instruction": "Human:你好\nAssistant:好\nHuman:再见\nAssistant:", "input": "", "output": "再见！"}""", DataShape.Belle,
        "user:你好|assistant:好|user:再见|assistant:再见！")]
    [InlineData("""{"id": "1", "conversations": [{"from": "human", "value": "q"}, {"from": "assistant", "value": "a"}]}""",
        DataShape.Sharegpt, "user:q|assistant:a")]
    [InlineData("""{"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "{\"name\": \"f\"}"}, {"from":"""
            + """ "observation", "value": "r"}, {"from": "gpt", "value": "a"}], "system": "s", "tools": "[{}]"}""",
        DataShape.Sharegpt,
        "system:s|user:q|assistant:|tool:r|assistant:a")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}""", DataShape.Messages,
        "user:q|assistant:a")]
    [InlineData("""{"prompt": "q", "chosen": "a", "rejected": "b"}""", DataShape.Preference, "user:q")]
    [InlineData("""{"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from":"""
        + """ "gpt", "value": "b"}}""", DataShape.Preference, "user:q")]
    [InlineData("""{"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "user","""
        + """ "content": "q"}, {"role": "assistant", "content": "b"}]}""", DataShape.Preference, "user:q")]
    [InlineData("""{"prompt": [{"role": "user", "content": "q"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected":"""
        + """ [{"role": "assistant", "content": "b"}]}""", DataShape.Preference, "user:q")]
    [InlineData("""{"prompt": "q", "completion": "a", "label": true}""", DataShape.Kto, "user:q|assistant:a")]
    [InlineData("""{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "kto_tag": false}""",
        DataShape.Kto, "user:q|assistant:a")]
    public void A_conversation_of_any_shape_comes_to_one_form(string row, DataShape shape, string said)
    {
        var node = JsonNode.Parse(row)!.AsObject();
        Assert.Equal(shape, RowShape.Recognise(Source(node)));
        var fields = RowShape.Read(Source(node), DataShape.Auto)[0].Fields;
        Assert.Equal(said, Said(fields));
        if (shape == DataShape.Preference) Assert.Equal(("a", "b"), (fields["chosen"], fields["rejected"]));
        if (shape == DataShape.Kto) Assert.Contains(fields["label"], new[] { "true", "false" });
        if (row.Contains("function_call", StringComparison.Ordinal)) Assert.Equal("[{}]", JsonNode.Parse(fields["tools"])!.ToJsonString());
    }

    [Theory]
    [InlineData("""{"text": "t", "url": "u"}""", DataShape.Text)]
    [InlineData("""{"sentence": "t", "label": "pos"}""", DataShape.Labelled)]
    [InlineData("""{"text": "t", "label": 1}""", DataShape.Labelled)]
    [InlineData("""{"a": 1}""", null)]
    public void Texts_and_labels_are_told_apart(string row, DataShape? shape) =>
        Assert.Equal(shape, RowShape.Recognise(Source(JsonNode.Parse(row)!.AsObject())));

    [Theory]
    [InlineData("{}", DataShape.Auto, "it has no fields")]
    [InlineData("""{"x": 1, "y": 2}""", DataShape.Auto, "it has x, y. Known are alpaca")]
    [InlineData("""{"x": 1}""", DataShape.Alpaca, "a row of the shape alpaca needs one of instruction")]
    [InlineData("""{"messages": []}""", DataShape.Messages, "has no messages")]
    [InlineData("""{"conversations": [{"from": "martian", "value": "x"}]}""", DataShape.Auto, "from 'martian'")]
    [InlineData("""{"chosen": "a", "rejected": "b"}""", DataShape.Auto, "has no prompt")]
    public void A_row_of_no_shape_is_told(string row, DataShape shape, string message) =>
        Assert.Contains(
            message, Assert.Throws<InputException>(() => RowShape.Read(Source(JsonNode.Parse(row)!.AsObject()), shape)).Message);

    [Fact]
    public void No_row_crashes_the_recogniser()
    {
        string[] keys =
        [
            "messages", "conversations", "instruction", "input", "output", "system", "history", "prompt", "chosen", "rejected", "label",
            "kto_tag", "text", "tools", "completion", "role", "from", "value", "content",
        ];
        string[] leaves =
        [
            "1", "true", "null", "\"a\"", "\"\"", "\"Human: x\\nAssistant: y\"", "[]", "{}", "[[]]", "[[\"a\",\"b\"]]", "\"user\"",
            "\"gpt\"", "[{\"role\":\"user\"}]", "[{\"from\":\"human\",\"value\":[1]}]", "[null]", "\"[1\"", "\"function_call\"",
            "[{\"role\":1,\"content\":{}}]",
        ];
        var pair = Gen.Select(
            Gen.Int[0, keys.Length - 1], Gen.Int[0, leaves.Length - 1], (key, leaf) => (Key: keys[key], Leaf: leaves[leaf]));
        Gen.Select(pair.Array[0, 6], Gen.Int[0, Enum.GetValues<DataShape>().Length - 1]).Sample((pairs, shape) =>
        {
            var row = JsonNode
                .Parse("{" + string.Join(",", pairs.DistinctBy(one => one.Key).Select(one => $"\"{one.Key}\":{one.Leaf}")) + "}")!
                .AsObject();
            try
            {
                var fields = RowShape.Read(Source(row), (DataShape)shape)[0].Fields;
                if (!fields.ContainsKey("messages")) return;
                new TextContract(ChatTemplate.Own, []).With("qwen")
                    .Render(RowTalk.Of(new Row("k", DataSplit.Train, fields)), null);
            }
            catch (InputException fault)
            {
                Assert.NotEmpty(fault.Message);
            }
        }, iter: 5000, threads: 1);
    }

    [Fact]
    public void A_source_with_a_shape_gives_rows_in_the_one_form_and_names_the_line_of_a_bad_one()
    {
        folder.Write(
            "a.jsonl",
            "{\"instruction\": \"q\", \"input\": \"\", \"output\": \"a\"}\n{\"instruction\": \"r\", \"input\": \"\", \"output\": \"b\", "
                + "\"history\": [[\"x\", \"y\"]]}\n");
        folder.Write("b.csv", "text,label\nfine,pos\nbad,neg\n");
        folder.Write("c.jsonl", "{\"text\": \"a\"}\n{\"words\": \"a\"}\n");
        IReadOnlyList<Row> Rows(string file) => new Polymath.Text.Corpora(
            new Recipe(
                "r",
                new PretrainedSpec("."),
                new Dictionary<string, DataSpec> { ["d"] = new FilesSpec([file], Shape: DataShape.Auto) },
                []),
            folder.Path,
            new PackageCache(folder.At("cache"))).Rows("d");
        Assert.Equal("user:x|assistant:y|user:r|assistant:b", Said(Rows("a.jsonl")[1].Fields));
        Assert.Equal(["pos", "neg"], Rows("b.csv").Select(row => row.Fields["label"]));
        Assert.Contains(
            "c.jsonl, line 2: the shape of the row is not recognised: it has words.",
            Assert.Throws<InputException>(() => Rows("c.jsonl")).Message);
    }

    [Fact]
    public void A_preview_counts_what_is_trained_untrained_and_cut()
    {
        var tokenizer = Toy.Letters().Tokenizer;
        var row = new Row(
            "k",
            DataSplit.Train,
            RowShape.Read(Source(JsonNode.Parse("""{"prompt": "hi", "response": "yes"}""")!.AsObject()), DataShape.Auto)[0].Fields);
        var preview = DataPreview.Of(
            [row],
            new TextContract(ChatTemplate.Own, []),
            tokenizer,
            7,
            1);
        Assert.Equal((1, 2L, 5L, 2L), (preview.Rows, preview.Trained, preview.Untrained, preview.Cut));
        Assert.Equal("<|begin|> <|user|> h i <|assistant|> [y] [e] (s) (<|end|>)", string.Join(' ', preview.Shown[0].Tokens.Select(
            token => token.State switch { "trained" => $"[{token.Text}]", "cut" => $"({token.Text})", _ => token.Text })));
    }
}
