using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary><c>classify</c> with the prompt of a finished stage: one text, tables, JSON lines.</summary>
[Trait("kind", "invariant")]
[Collection(FinishedRun.Collection)]
public sealed class ClassifyTests(FinishedRun finished)
{
    private readonly TinyRecipe recipe = finished.Recipe;

    private CliResult Classify(params string[] more) => CliProgram.Run(recipe.Path, ["classify", "whole", "--stage", "tell", .. more]);

    [Fact]
    public void The_prompt_of_a_stage_labels_new_texts()
    {
        var task = JsonNode.Parse(File.ReadAllText(recipe.At("whole", "stages", "03-tell", "model", "task.json")))!;
        Assert.Equal("{text} is {mask}", (string)task["prompts"]![0]!["template"]!);
        Assert.Equal(["hard", "soft"], task["labels"]!.AsArray().Select(label => (string)label!).Order());
        Assert.Equal("kind", (string)task["label"]!);
        var one = Classify("--text", "ama ela ona.", "--json");
        Assert.Equal((0, ""), (one.Code, one.Error));
        var answer = JsonNode.Parse(one.Out)!["classified"]!;
        Assert.Equal(1, answer["probabilities"]!.AsObject().Sum(pair => (double)pair.Value!), 1e-5);

        // The task goes with the model wherever it is written.
        var stage = System.IO.Path.Combine("whole", "stages", "03-tell", "model");
        Assert.Equal(0, CliProgram.Run(recipe.Path, "model", "convert", stage, "--output", "converted").Code);
        var moved = CliProgram.Run(recipe.Path, "classify", "converted", "--text", "ama ela ona.", "--json");
        Assert.Equal((0, ""), (moved.Code, moved.Error));

        recipe.Write("new.csv", "id,words,kind\n1,\"ama ela ona.\",soft\n2,bat dok!,hard\n3,\"a \"\"b\"\", c\",\n4,tek gup!,other\n");
        var lines = Classify("--input", "new.csv", "--text", "words");
        Assert.True(lines.Code == 0, lines.All);
        var rows = lines.Out.TrimEnd('\n').Split('\n').Select(line => JsonNode.Parse(line)!).ToList();
        Assert.Equal(4, rows.Count);
        Assert.Equal(answer.ToJsonString(), rows[0]["classified"]!.ToJsonString());
        Assert.Equal("a \"b\", c", (string)rows[2]["words"]!);
        var right = rows.Count(row => (string)row["kind"]! == (string)row["classified"]!["label"]!);
        Assert.Contains($"accuracy {right / 3.0:F4}: {right} of 3 rows with 'kind'", lines.Error);
        foreach (var label in new[] { "hard", "other", "soft" }) Assert.Contains($"\n{label} ", lines.Error);

        var table = Classify("--input", "new.csv", "--text", "words", "--format", "csv").Out.TrimEnd('\n').Split('\n');
        Assert.Equal("id,words,kind,predicted,probability", table[0]);
        Assert.StartsWith("3,\"a \"\"b\"\", c\",,", table[3], StringComparison.Ordinal);
        Assert.Equal(
            rows.Select(row => (string)row["classified"]!["label"]!), table[1..].Select(line => line.Split(',')[^2]));
    }

    [Fact]
    public void The_column_with_the_text_is_found_or_asked_for()
    {
        recipe.Write("one.tsv", "words\nama ela.\n");
        Assert.Equal((0, ""), Classify("--input", "one.tsv") is var found ? (found.Code, found.Error) : default);
        recipe.Write("rows.jsonl", "{\"text\": \"ama.\", \"kind\": \"soft\"}\n");
        Assert.Contains("1 rows with 'kind'", Classify("--input", "rows.jsonl").Error);
        recipe.Write("two.csv", "one,two\na,b\n");
        foreach (var (arguments, refusal) in new (string[], string)[]
        {
            (["--input", "two.csv"], "two.csv has the columns one, two. Name the one with the text: --text COLUMN."),
            (["--input", "two.csv", "--text", "oen"], "two.csv: there is no column 'oen', which --text names"),
            (["--input", "two.csv", "--text", "one", "--label", "x"], "there is no column 'x', which --label names"),
            (["--input", "none.csv"], "--input is none.csv, but there is no such file"),
            (["--input", "two.csv", "--format", "xml"], "--format is 'xml'; known are jsonl and csv"),
        })
        {
            var result = Classify(arguments);
            Assert.Equal(2, result.Code);
            Assert.Contains(refusal, result.Error, StringComparison.Ordinal);
        }
        var other = CliProgram.Run(recipe.Path, "classify", "whole", "--text", "x");
        Assert.Equal(2, other.Code);
        Assert.Contains("Name the stage that learned the labels with --stage NAME", other.Error);
    }
}
