using System.Text.Json;
using Parquet.Schema;
using Parquet.Serialization;
using Polymath.Recipes;

namespace Polymath.Tests.Text.Corpora;

[Trait("kind", "unit")]
public class RowReadingTests
{
    private static readonly Dictionary<string, FieldSpec> Fields =
        new() { ["name"] = new("who.name"), ["lines"] = new("lines", "/"), ["n"] = new("n") };

    [Theory]
    [InlineData("a.jsonl", "{\"who\":{\"name\":\"Li\"},\"lines\":[\"x\",\"y\"],\"n\":1.50}\n\n{\"who\":null,\"lines\":[],\"n\":true}\n")]
    [InlineData(
        "a.json", "\uFEFF[{\"who\":{\"name\":\"Li\"},\"lines\":[\"x\",\"y\"],\"n\":1.50},\n{\"who\":null,\"lines\":[],\"n\":true}]")]
    public void JsonValuesBecomeText(string file, string text)
    {
        using var scene = new CorpusScene().File(file, text);
        var rows = scene.Rows(new FilesSpec([file], Fields: Fields));
        Assert.Equal(["Li|x/y|1.50", "||true"], rows.Select(row => $"{row.Fields["name"]}|{row.Fields["lines"]}|{row.Fields["n"]}"));
    }

    [Fact]
    public void TextAndCsvAreRead()
    {
        using var scene = new CorpusScene().File("b.txt", "\uFEFFone\r\n\ntwo").File("c.csv", "text,label\n\"a, \"\"b\"\"\nc\",1\r\n丙,2\n");
        Assert.Equal(["one", "two"], scene.Rows(new FilesSpec(["b.txt"])).Select(row => row.Fields["text"]));
        Assert.Equal(
            ["a, \"b\"\nc|1", "丙|2"], scene.Rows(new FilesSpec(["*.csv"])).Select(row => $"{row.Fields["text"]}|{row.Fields["label"]}"));
    }

    [Fact]
    public async Task ParquetIsRead()
    {
        using var scene = new CorpusScene();
        var schema = new ParquetSchema(new DataField<string>("text"), new DataField<int>("n"));
        await using (var stream = File.Create(scene.Folder.At("p.parquet")))
        {
            Dictionary<string, object?>[] data = [new() { ["text"] = "甲", ["n"] = 1 }, new() { ["text"] = "乙", ["n"] = 2 }];
            await ParquetSerializer.SerializeUntypedAsync(data, schema, stream, cancellationToken: TestContext.Current.CancellationToken);
        }

        Assert.Equal(["甲1", "乙2"], scene.Rows(new FilesSpec(["p.parquet"])).Select(row => row.Fields["text"] + row.Fields["n"]));
        Assert.Contains(
            "bad.parquet", scene.Bytes("bad.parquet", [1, 2, 3]).Refusal(new FilesSpec(["bad.parquet"])), StringComparison.Ordinal);
    }

    [Fact]
    public void GlobsFindFilesInOrder()
    {
        using var scene = new CorpusScene().File("b/2.txt", "2").File("a/x/3.txt", "3").File("a/1.txt", "1").File("a/1.md", "no");
        Assert.Equal("13|2", string.Join("|", ((string[])["a/**/*.txt", "b/?.txt"]).Select(
            glob => string.Concat(scene.Rows(new FilesSpec([glob])).Select(row => row.Fields["text"])))));
        Assert.Contains("which holds 1.md, 1.txt, x", scene.Refusal(new FilesSpec(["a/*.csv"])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a.jsonl", "{\"a\":1}\n{\"a\":", "a.jsonl, line 2")]
    [InlineData("a.jsonl", "[1]", "line 1: a row must be an object, found a list")]
    [InlineData("a.json", "[{\"a\":1},\n{\"a\" 2}]", "a.json, line 2")]
    [InlineData("a.json", "{\"a\":1}", "not a JSON array")]
    [InlineData("a.json", "[{\"a\":\"\\ud800\"}]", "surrogate")]
    [InlineData("a.csv", "a,b\n1,2\n3\n", "a.csv, line 3")]
    [InlineData("a.csv", "a,b\n1,x\"y\n", "a.csv, line 2")]
    [InlineData("a.csv", "a,a\n1,2\n", "second 'a'")]
    [InlineData("a.xyz", "", "format: txt")]
    [InlineData("a.txt", "", "no rows")]
    public void FaultsSayWhere(string file, string text, string expected)
    {
        using var scene = new CorpusScene().File(file, text);
        Assert.Contains(expected, scene.Refusal(new FilesSpec([file])), StringComparison.Ordinal);
    }

    [Fact]
    public void TheFirstByteThatIsNotUtf8IsNamed()
    {
        // The bad byte lies behind the first buffer, and a whole character across its end.
        byte[] good = [.. Enumerable.Repeat((byte)'a', 65534), .. "床\nbc"u8];
        using var scene = new CorpusScene().Bytes("l.txt", [.. good, 0xE9, (byte)'t'])
            .Bytes("end.txt", [.. good, 0xE5, 0xBA]).Bytes("good.txt", good);
        Assert.Contains("l.txt, line 2, byte 3: 0xE9 is not UTF-8", scene.Refusal(new FilesSpec(["l.txt"])), StringComparison.Ordinal);
        Assert.Contains("end.txt, line 2, byte 3: 0xE5", scene.Refusal(new FilesSpec(["end.txt"])), StringComparison.Ordinal);
        Assert.Equal("bc", scene.Rows(new FilesSpec(["good.txt"]))[1].Fields["text"]);
    }

    [Fact]
    public void AFieldThatNoRowHasIsRefused()
    {
        using var scene = new CorpusScene().File("a.jsonl", "{\"b\":1,\"c\":2}\n");
        Assert.Contains(
            "Found: b, c",
            scene.Refusal(new FilesSpec(["a.jsonl"], Fields: new Dictionary<string, FieldSpec> { ["x"] = new("zz") })),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_field_may_take_a_part_of_a_value()
    {
        using var scene = new CorpusScene().File("a.jsonl", """
            {"mail": "From x\nSubject: buy now\nTo: y\n\nthe body\nand more"}
            {"mail": "no subject here"}
            """);
        Dictionary<string, FieldSpec> Fields(string pattern) => new() { ["part"] = new FieldSpec("mail", Match: pattern) };
        Assert.Equal(
            ["buy now", ""],
            scene.Rows(new FilesSpec(["a.jsonl"], Fields: Fields("(?m)^Subject: (.*)$"))).Select(row => row.Fields["part"]));
        Assert.Equal(["Subject", ""], scene.Rows(new FilesSpec(["a.jsonl"], Fields: Fields("Subject"))).Select(row => row.Fields["part"]));
    }

    [Fact]
    public void A_pattern_that_takes_for_ever_is_named()
    {
        using var scene = new CorpusScene().File("a.jsonl", JsonSerializer.Serialize(new { mail = new string('a', 40) + "!" }));
        var spec = new FilesSpec(["a.jsonl"], Fields: new Dictionary<string, FieldSpec> { ["part"] = new("mail", Match: "^(a+)+$") });
        Assert.Contains("takes longer than 2 s", Assert.Throws<InputException>(() => scene.Rows(spec)).Message, StringComparison.Ordinal);
    }
}
