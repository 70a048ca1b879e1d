using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Polymath.Tests.Cli;

/// <summary>Stages by name, adapters that are kept apart, rounds, and rows that are too long, through the command line.</summary>
[Trait("kind", "invariant")]
public sealed class StageChoiceTests : IDisposable
{
    private readonly TinyRecipe recipe = new();

    public void Dispose() => recipe.Dispose();

    private JsonNode Measured(params string[] more)
    {
        var result = CliProgram.Run(recipe.Path, ["eval", "run", "--ability", "reading", "--json", .. more]);
        Assert.True(result.Code == 0, result.All);
        return JsonNode.Parse(result.Out)!;
    }

    [Fact]
    public void An_adapter_that_stays_apart_comes_with_its_stage_and_with_no_other()
    {
        var run = recipe.Run("run", "--set", "stages.tell.method.train.merge=false");
        Assert.True(run.Code == 0, run.All);
        Assert.Contains("tell *", run.Out);
        Assert.Contains("* with the delta of tell, which is kept apart", run.Out);
        double Kept(string stage) =>
            (double)JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", stage, "report.json")))!["abilities"]!["reading"]!;
        Assert.NotEqual(Kept("02-write"), Kept("03-tell"));
        Assert.Equal(Kept("03-tell"), (double)Measured("--stage", "tell")["reading"]!, 1e-9);
        Assert.Equal(Kept("02-write"), (double)Measured("--stage", "write")["reading"]!, 1e-9);
        Assert.Equal(Kept("04-please"), (double)Measured()["reading"]!, 1e-9);
        // The stage's model is saved without its adapter; with the adapter by name, it gives the same.
        Assert.Equal(
            recipe.Hash(recipe.At("run", "stages", "02-write", "model")), recipe.Hash(recipe.At("run", "stages", "03-tell", "model")));
        Assert.Equal(
            Kept("03-tell"),
            (double)Measured("--stage", "write", "--adapter", recipe.At("run", "stages", "03-tell", "adapter"))["reading"]!,
            1e-9);
        var wrong = CliProgram.Run(recipe.Path, "generate", "run", "--stage", "tall", "--prompt", "x");
        Assert.Equal(2, wrong.Code);
        Assert.Contains("no finished stage 'tall'; it has read, write, tell, please", wrong.Error);
    }

    [Theory]
    [InlineData("nf4", false)]
    [InlineData("int8", true)]
    public void A_stage_trains_on_a_base_in_few_bits_from_end_to_end(string precision, bool merge)
    {
        var run = recipe.Run("run", "--set", $"stages.tell.method.train.base={precision}", "--set",
            $"stages.tell.method.train.merge={(merge ? "true" : "false")}");
        Assert.True(run.Code == 0, run.All);
        string stage = recipe.At("run", "stages", "03-tell"), adapter = Path.Combine(stage, "adapter");
        double Kept(string stage) =>
            (double)JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", stage, "report.json")))!["abilities"]!["reading"]!;
        // Four bits are widened by another product where many rows are read than where few are: a few units of the last place.
        Assert.Equal(1, (double)Measured("--stage", "tell")["reading"]! / Kept("03-tell"), 2e-6);
        Assert.NotEqual(recipe.Hash(recipe.At("run", "stages", "02-write", "model")), recipe.Hash(Path.Combine(stage, "model")));
        // The adapter fits the model of the stage before, in the precision of its training, and the stage's own model, which is its base.
        Assert.Equal(
            Kept("03-tell"),
            (double)Measured("--stage", "write", "--adapter", adapter, "--base", precision)["reading"]!,
            1e-4 * Kept("03-tell"));
        Assert.Equal(merge, File.Exists(Path.Combine(stage, "gate.json")));
        if (merge) Assert.True((bool)JsonNode.Parse(File.ReadAllText(Path.Combine(stage, "gate.json")))!["passed"]!);
        var other = CliProgram.Run(recipe.Path, "eval", "run", "--stage", "read", "--adapter", adapter, "--ability", "reading");
        Assert.Equal(2, other.Code);
        Assert.Contains("was made for another model", other.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cut", "cut to 12 tokens")]
    [InlineData("split", "split into pieces of 12 tokens")]
    [InlineData("drop", "left out: longer than 12 tokens")]
    public void Rows_that_are_too_long_are_counted_before_the_first_step(string policy, string what)
    {
        // The rows' own lengths, with the tokens that begin and end each.
        var lengths = File.ReadLines(recipe.At("lines.jsonl")).Select(line => ((string)JsonNode.Parse(line)!["text"]!).Length + 2).ToList();
        var result = recipe.Run(
            policy, "--stop-after-step", "1", "--set", "stages.read.batch.maxLength=12", "--set", $"stages.read.batch.overlong={policy}");
        Assert.True(result.Code == 0, result.All);
        var said = Regex.Match(result.Out, $@"read: ([\d,]+) rows, [^;]* targets; ([\d,]+) {what} \(such as [^;]*\)\n");
        Assert.True(said.Success, result.Out);
        int Count(int group) => int.Parse(said.Groups[group].Value, NumberStyles.AllowThousands, CultureInfo.InvariantCulture);
        Assert.InRange(Count(2), 1, lengths.Count(length => length > 12));
        Assert.Equal(policy == "split", Count(1) > 300 * 0.9);
    }

    [Fact]
    public void Rows_that_are_too_long_are_refused_where_the_recipe_says_so()
    {
        var refused = recipe.Run("refuse", "--set", "stages.read.batch.maxLength=12", "--set", "stages.read.batch.overlong=refuse");
        Assert.Equal(2, refused.Code);
        Assert.Contains("more than the 12 allowed, and batch.overlong is refuse", refused.Error);
        var split = recipe.Run("split", "--set", "stages.write.batch.overlong=split");
        Assert.Equal(2, split.Code);
        Assert.Contains("cannot be split", split.Error);
    }

    [Fact]
    public void Prompts_that_leave_no_room_for_an_answer_are_counted_and_left_out()
    {
        var result = recipe.Run("run", "--set", "stages.please.batch.maxLength=23");
        Assert.True(result.Code == 0, result.All);
        var said =
            Regex.Match(result.Out, @"please: (\d+) prompts; (\d+) left out, which would leave no room for 8 new tokens in rows of 23");
        Assert.True(said.Success, result.Out);
        Assert.True(
            int.Parse(said.Groups[1].Value, CultureInfo.InvariantCulture) > 0
                && int.Parse(said.Groups[2].Value, CultureInfo.InvariantCulture) > 0,
            said.Value);
        var none = recipe.Run("none", "--set", "stages.please.batch.maxLength=12", "--set", "stages.please.batch.overlong=refuse");
        Assert.Equal(2, none.Code);
        Assert.Contains("leave no room for 8 new tokens", none.Error);
    }

    [Fact]
    public void Held_out_prompts_that_leave_no_room_for_an_answer_are_not_asked()
    {
        // The context has 48 tokens.
        File.AppendAllLines(recipe.At("lines.jsonl"), Enumerable.Range(0, 120).Select(i => JsonSerializer.Serialize(
            new { name = new string((char)('a' + i % 26), 60 + i), text = "short", kind = "soft" })));
        var result = recipe.Run("run", "--set", "stages.write.evaluate={every: 3, samples: 40}");
        Assert.True(result.Code == 0, result.All);
        var asked = File.ReadLines(recipe.At("run", "samples.jsonl")).Select(line => JsonNode.Parse(line)!["prompt"]?.ToString() ?? "");
        Assert.Contains(asked, prompt => prompt.StartsWith("say ", StringComparison.Ordinal));
        Assert.All(asked, prompt => Assert.InRange(prompt.Length, 0, 46));
    }

    [Fact]
    public void Rounds_go_through_the_stages_again_and_the_last_visit_is_the_model()
    {
        var result = recipe.Run("run", "--set", "rounds=2");
        Assert.True(result.Code == 0, result.All);
        var stages = Directory.GetDirectories(recipe.At("run", "stages"))
            .Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(9, stages.Count);
        Assert.Equal(recipe.Hash("run"), recipe.Hash(recipe.At("run", "stages", stages[^1], "model")));
        Assert.NotEqual(recipe.Hash("run"), recipe.Hash(recipe.At("run", "stages", stages[4], "model")));
        Assert.Equal(8, JsonNode.Parse(File.ReadAllText(recipe.At("run", "report.json")))!["stages"]!.AsArray().Count);
    }
}
