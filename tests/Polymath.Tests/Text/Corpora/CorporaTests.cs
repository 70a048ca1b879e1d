using System.Text.Json;
using CsCheck;
using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Tests.Text.Corpora;

[Trait("kind", "unit")]
public class CorporaTests
{
    [Fact]
    public void FiltersWorkInOrder()
    {
        using var scene = new CorpusScene().File("a.csv", "t,k\naa,x\naa,x\nb,x\n𠀀𠀀,y\nccc,z\nccc2,w\n");
        Assert.Equal(["aa", "𠀀𠀀"], Kept(new FilterSpec("t", MinimumLength: 2, MaximumLength: 2)));
        Assert.Equal(["aa", "b"], Kept(new FilterSpec("k", MostFrequent: 1)));
        Assert.Equal(["ccc2", "𠀀𠀀"], Kept(new FilterSpec("k", NotIn: ["x"]), new FilterSpec("k", MostFrequent: 2)));
        Assert.Equal(["ccc"], Kept(new FilterSpec("t", Matches: "c+$", Lacks: "b"), new FilterSpec("k", In: ["z", "x"])));
        var fault = scene.Refusal(new FilesSpec(["a.csv"], Where: [new("k", In: ["x", "y"]), new("t", Matches: "^q")]));
        Assert.Contains("filter 1 (field 'k') removed 2 of 6; filter 2 (field 't') removed 4 of 4", fault, StringComparison.Ordinal);
        Assert.Contains("no such field. Found: t, k", scene.Refusal(new FilesSpec(["a.csv"], Where: [new("q")])), StringComparison.Ordinal);

        IEnumerable<string> Kept(params FilterSpec[] filters)
            => scene.Rows(new FilesSpec(["a.csv"], Where: filters, Distinct: "t"))
                .Select(row => row.Fields["t"]).Order(StringComparer.Ordinal);
    }

    [Fact]
    [Trait("kind", "invariant")]
    public void SplitsDoNotDependOnOrderOrSource() => Gen.Int[0, 1000].Array[50, 200].Sample(numbers =>
    {
        using var scene = new CorpusScene().File("a.txt", string.Join("\n", numbers))
            .File("b.jsonl", string.Join("\n", numbers.Reverse().Select(number => JsonSerializer.Serialize(new { text = $"{number}" }))));
        var split = new SplitSpec(0.2, 0.2);
        var first = scene.Rows(new FilesSpec(["a.txt"], Distinct: "text", Split: split));
        var second = scene.Rows(new FilesSpec(["b.jsonl"], Distinct: "text", Split: split));
        Assert.Equal(
            first.OrderBy(row => row.Key).Select(row => (row.Key, row.Split)),
            second.OrderBy(row => row.Key).Select(row => (row.Key, row.Split)));
    }, iter: 10, threads: 1);

    [Fact]
    public void SplitsHaveTheSharesAskedForAndKeepRowsTogether()
    {
        using var scene = new CorpusScene()
            .File("a.csv", "id,group\n" + string.Concat(Enumerable.Range(0, 20000).Select(number => $"{number},{number / 2}\n")));
        var rows = scene.Rows(new FilesSpec(["a.csv"], Split: new SplitSpec(0.1, 0.05, ["group"])));
        Assert.InRange(rows.Count(row => row.Split == DataSplit.Validation), 1800, 2200);
        Assert.InRange(rows.Count(row => row.Split == DataSplit.Test), 850, 1150);
        Assert.All(rows.GroupBy(row => row.Fields["group"]), group => Assert.Single(group.Select(row => row.Split).Distinct()));
        Assert.NotEqual(RowHash.KeyOf(new Dictionary<string, string> { ["a"] = "ab", ["b"] = "c" }), RowHash.KeyOf(
            new Dictionary<string, string> { ["a"] = "a", ["b"] = "bc" }));
    }

    [Fact]
    public void ViewsKeepTheSplitAndAddFields()
    {
        using var scene = new CorpusScene().File("a.txt", string.Join("\n", Enumerable.Range(0, 500)));
        var corpora = scene.Open(new Dictionary<string, DataSpec>
        {
            ["all"] = new FilesSpec(["a.txt"], Split: new SplitSpec(0.3, 0.3)),
            ["odd"] = new ViewSpec(
                "all", [new FilterSpec("text", Matches: "[13579]$")], new Dictionary<string, string> { ["asked"] = "{{{text}}}?" }),
            ["loop"] = new ViewSpec("pool"),
            ["pool"] = new ViewSpec("loop"),
            ["bad"] = new ViewSpec("all", Fields: new Dictionary<string, string> { ["x"] = "{y}" }),
        });
        var splits = corpora.Rows("all").ToDictionary(row => row.Fields["text"], row => row.Split);
        Assert.Equal(250, corpora.Rows("odd").Count);
        Assert.All(
            corpora.Rows("odd"),
            row => Assert.Equal((splits[row.Fields["text"]], $"{{{row.Fields["text"]}}}?"), (row.Split, row.Fields["asked"])));
        Assert.Same(corpora.Rows("odd"), corpora.Rows("odd"));
        Assert.Contains("view on itself", Assert.Throws<InputException>(() => corpora.Rows("loop")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "asks for the field 'y'", Assert.Throws<InputException>(() => corpora.Rows("bad")).Message, StringComparison.Ordinal);
        Assert.Contains(
            "Declared under 'data': all", Assert.Throws<InputException>(() => corpora.Rows("none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ConversionTakesTheLongestEntryAndTheEarlierFile()
    {
        using var scene = new CorpusScene().File("1.js", "export default \"头发 頭髮|发展 發展|𠀀 X\";").File("2.js", "\"头 頭|发 發|发展 NO\"");
        var tables = new Dictionary<string, TableSpec>
        {
            ["t"] = new ConversionTableSpec(["1.js", "2.js"]), ["none"] = new ConversionTableSpec(["1.js"], Entry: "(?<from>Q)(?<to>Q)"),
        };
        var corpora = scene.Open(new Dictionary<string, DataSpec>(), tables);
        var table = corpora.Conversion("t");
        Assert.Equal("頭髮發展，發X!", table.Convert("头发发展，发𠀀!"));
        table.Save(scene.Folder.At("t.json"));
        Assert.Equal(table.Convert("头发发𠀀"), CharacterConversion.Load(scene.Folder.At("t.json")).Convert("头发发𠀀"));
        Assert.Contains(
            "finds no entry", Assert.Throws<InputException>(() => corpora.Conversion("none")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ClassesAreLearnedFromMarks()
    {
        using var scene = new CorpusScene()
            .File("texts.csv", "id,text\n1,天月中，\n2,中月\n3,天天天\n")
            .File("marks.csv", "id,marks\n1,平仄平，\n2,仄仄\n3,平平\n");
        var data = new Dictionary<string, DataSpec> { ["texts"] = new FilesSpec(["texts.csv"]), ["marks"] = new FilesSpec(["marks.csv"]) };
        var spec = new CharacterClassesSpec(
            "marks", "marks", "texts", "text", "id", new Dictionary<string, string> { ["平"] = "level", ["仄"] = "oblique" });
        var classes = scene.Open(data, new Dictionary<string, TableSpec> { ["tone"] = spec }).Classes("tone");
        classes.Save(scene.Folder.At("tone.json"));
        foreach (var table in (CharacterClasses[])[classes, CharacterClasses.Load(scene.Folder.At("tone.json"))])
        {
            Assert.Equal(
                ("level", "oblique", null, null), (table.ClassOf('天'), table.ClassOf('月'), table.ClassOf('中'), table.ClassOf('，')));
            Assert.Equal((3, 2), (table.Count, table.ClearCount));
        }
    }
}
