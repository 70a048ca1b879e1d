using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

/// <summary>What of a text file is a row.</summary>
[Trait("kind", "unit")]
public sealed class TextDocumentTests : IDisposable
{
    private const string Text = "one\n  two\n\n\nthree<sep>four\n\nfive\n";

    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private List<Row> Rows(string text, string? documents, SplitSpec? split = null) =>
        [.. ReadingScene.Corpora(new FilesSpec([folder.Write("a.txt", text)], Documents: documents, Split: split)).Rows("d")];

    [Theory]
    [InlineData(null, "one|  two|three<sep>four|five", "1 2 5 7")]
    [InlineData("line", "one|  two|three<sep>four|five", "1 2 5 7")]
    [InlineData("paragraph", "one two|three<sep>four|five", "1 5 7")]
    [InlineData("blank-line", "one\n  two|three<sep>four|five", "1 5 7")]
    [InlineData("<sep>", "one\n  two\n\n\nthree|four\n\nfive", "1 5")]
    public void A_text_is_cut_as_the_recipe_says(string? documents, string texts, string lines)
    {
        var rows = Rows(Text, documents);
        Assert.Equal(texts, string.Join('|', rows.Select(row => row.Fields["text"])));
        Assert.Equal(lines, string.Join(' ', rows.Select(row => row.Place!.Value.Number)));
    }

    [Fact]
    public void Of_a_whole_file_the_last_shares_are_held_out_at_the_ends_of_lines()
    {
        var text = string.Concat(Enumerable.Range(0, 100).Select(i => $"line {i:D2}\n"));
        var rows = Rows(text, "file", new SplitSpec(0.2, 0.1));
        Assert.Equal([DataSplit.Train, DataSplit.Validation, DataSplit.Test], rows.Select(row => row.Split));
        Assert.Equal(text.TrimEnd('\n'), string.Concat(rows.Select(row => row.Fields["text"])));
        Assert.All(rows.Skip(1), row => Assert.StartsWith("line", row.Fields["text"]));
        Assert.Equal([70, 20, 10], rows.Select(row => row.Fields["text"].Split('\n', StringSplitOptions.RemoveEmptyEntries).Length));
        Assert.Single(Rows(text, "file", new SplitSpec(0, 0)));
    }

    [Fact]
    public void Only_text_files_are_cut()
    {
        var spec = new FilesSpec([folder.Write("a.jsonl", """{"text": "one"}""" + "\n")], Documents: "file");
        Assert.Contains("this is no text file", Assert.Throws<InputException>(() => ReadingScene.Corpora(spec).Rows("d")).Message);
    }

    [Theory]
    [InlineData("train-00000-of-00002.parquet", DataSplit.Train)]
    [InlineData("latest.jsonl", DataSplit.Train)]
    [InlineData("develop.jsonl", DataSplit.Train)]
    [InlineData("validation-00000-of-00001.parquet", DataSplit.Validation)]
    [InlineData("squad_dev.json", DataSplit.Validation)]
    [InlineData("val.csv", DataSplit.Validation)]
    [InlineData("test-00000-of-00001.parquet", DataSplit.Test)]
    [InlineData("my.test.jsonl", DataSplit.Test)]
    public void A_file_s_name_says_what_its_rows_are_for(string name, DataSplit split) => Assert.Equal(split, NamedSplit.Of(name));
}
