using System.Text.RegularExpressions;
using CsCheck;
using Polymath.Recipes;

namespace Polymath.Tests.Recipes;

/// <summary>Reading any text gives faults or a recipe, and never throws.</summary>
[Trait("kind", "unit")]
public sealed class RecipeFuzzTests
{
    private static readonly string[] Pieces =
    [
        "name", "model", "stages", "data", "small", "kind", "family", ": ", "\n", "\n  ", "- ", "{", "}", "[", "]", ",", "\"", "'", "#",
        "&a", "*a",
        "!!str", "|", ">", "?", "---", "null", "~", "1", "1e3", "-0", "\t", "\\", "{mask}", "npm:", "@", "lora", "prompt", "pretrain",
        "\u0000", "😀", "\ud800", "<<", "%",
    ];

    [Fact]
    public void Random_text_never_throws() =>
        Gen.OneOf(Gen.String, Gen.OneOf(Pieces).Array[0, 40].Select(string.Concat))
            .Sample(text => Reads(text, false), iter: 2000, threads: 1);

    [Fact]
    public void A_changed_recipe_never_throws()
    {
        var shipped = Directory.GetFiles(SampleRecipes.Folder, "*.yaml").Order(StringComparer.Ordinal).Select(File.ReadAllText);
        foreach (var text in shipped.Append(SampleRecipes.Whole))
        {
            var lines = text.Split('\n');
            Gen.Select(
                Gen.Int[0, 8],
                Gen.Int[0, lines.Length - 1],
                Gen.Int[0, lines.Length - 1],
                Gen.Int[0, 200],
                Gen.OneOf(Pieces),
                Gen.Bool).Array[1, 3]
                .Select(changes => (
                    Text: string.Join('\n', changes.Aggregate(lines, (now, one) => Changed(
                        now,
                        one.Item1,
                        one.Item2,
                        one.Item3,
                        one.Item4,
                        one.Item5))),
                    Small: changes[0].Item6))
                .Sample(changed => Reads(changed.Text, changed.Small), iter: 100, threads: 1);
        }
    }

    [Theory]
    [InlineData("stages: [{kind: pretrain, data: a, steps: 1}, {name: b, from: nowhere, kind: pretrain, data: a, steps: 1}]")]
    [InlineData("rounds: {count: 2, changes: {2: {b: {steps: 2}}}}")]
    public void Missing_names_and_stages_are_faults_and_nothing_else(string rest) => Reads(
        $"name: x\nmodel: {{family: llama}}\ndata: {{a: {{files: a.txt}}, made: {{from: b, what: pairs}}}}\n{rest}\n", false);

    [Fact]
    public void Random_overrides_never_throw() =>
        Gen
            .OneOf("stages", "read", "0", "9", "model", "layers", "optimizer", "data", "small", "", "=", "=", ".", "{a: b}", "[", "x",
                "null", "\ud800")
            .Array[0, 9].Select(parts => string.Join(parts.Length % 2 == 0 ? "." : "", parts))
            .Sample(text => Reads(SampleRecipes.Whole, false, text), iter: 150, threads: 1);

    private static string[] Changed(
        string[] lines,
        int kind,
        int line,
        int other,
        int at,
        string piece)
    {
        line = Math.Min(line, lines.Length - 1);
        if (line < 0)
            return lines;
        other = Math.Min(other, lines.Length - 1);
        at = Math.Min(at, lines[line].Length);
        return kind switch
        {
            0 => [.. lines[..line], .. lines[(line + 1)..]],
            1 => [.. lines[..line], lines[line], .. lines[line..]],
            2 => [.. lines[..line], lines[other], .. lines[(line + 1)..]],
            3 => With(lines, line, lines[line].Insert(at, piece)),
            4 => With(lines, line, lines[line].Remove(at)),
            5 => With(lines, line, lines[line].Remove(Math.Max(0, at - 1), at > 0 ? 1 : 0)),
            6 => With(lines, line, lines[line].Replace(": ", ": " + piece + " #")),
            7 => Worded(lines, line, at, _ => piece),
            _ => Worded(lines, line, at, word => word.Length > 1 ? word[1..] : word + word),
        };
    }

    /// <summary>Changes one word of a line, which mostly leaves the layout whole.</summary>
    private static string[] Worded(string[] lines, int line, int at, Func<string, string> change)
    {
        var words = Regex.Matches(lines[line], @"[\w.]+");
        if (words.Count == 0)
            return lines;
        var word = words[at % words.Count];
        return With(lines, line, lines[line].Remove(word.Index, word.Length).Insert(word.Index, change(word.Value)));
    }

    private static string[] With(string[] lines, int at, string line) => [.. lines[..at], line, .. lines[(at + 1)..]];

    private static void Reads(string text, bool small, params string[] overrides)
    {
        var reading = RecipeReader.Parse(
            text,
            "fuzz.yaml",
            SampleRecipes.Folder,
            small,
            overrides);
        Assert.Equal(reading.Recipe is null, reading.Faults.Count > 0);
        foreach (var fault in reading.Faults)
        {
            Assert.True(fault.Problem.Length > 0 && fault.Hint.Length > 0, fault.ToString());
            Assert.True(fault.Line > 0 || fault.File.StartsWith("override", StringComparison.Ordinal), fault.ToString());
        }
        if (reading.Recipe is not null)
            Assert.Equal(reading.Resolved, RecipeReader.Parse(reading.Resolved, "again.yaml", SampleRecipes.Folder).Resolved);
    }
}
