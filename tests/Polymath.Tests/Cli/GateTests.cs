using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>Gates: what a stage must reach, and what happens when it does not; and where each model comes from.</summary>
[Trait("kind", "unit")]
public sealed class GateTests
{
    private static TinyRecipe Gated(string require, string other = "stop") => new(tiny => tiny
        .With("abilities", "{reading: {kind: perplexity, stage: read, rows: 20}}").Without("rewards")
        .With("stages", "[{name: read, kind: pretrain, data: lines, steps: 4, optimizer: {rate: 1e-2}, batch: {tokens: 300}},"
            + "{name: more, kind: pretrain, data: lines, steps: 3, optimizer: {rate: 1e-2}, batch: {tokens: 300}, "
            + $"require: {{reading: \"{require}\"}}, else: {other}}},"
            + "{name: last, kind: pretrain, data: lines, steps: 2, optimizer: {rate: 1e-3}, batch: {tokens: 300}}]"));

    private static JsonNode Lineage(TinyRecipe recipe, string stage) =>
        JsonNode.Parse(File.ReadAllText(recipe.At("run", "stages", stage, "lineage.json")))!;

    [Fact]
    public void A_gate_that_holds_changes_nothing()
    {
        using var recipe = Gated("<= 1.1 * before");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.Equal("more", Lineage(recipe, "03-last")["from"]!.ToString());
        var drawn = CliProgram.Run(recipe.Path, "runs", "lineage", "run");
        Assert.True(drawn.Code == 0, drawn.All);
        Assert.Contains("fresh weights", drawn.Out);
        Assert.Matches(@"more \(pretrain, full, 3 steps\)[\s\S]*data lines: [0-9,]+ rows[\s\S]*reading [0-9]", drawn.Out);
        var said = JsonNode.Parse(CliProgram.Run(recipe.Path, "runs", "lineage", "run", "--json").Out)!.AsArray();
        Assert.Equal(["read", "more", "last"], said.Select(entry => entry!["lineage"]!["stage"]!.ToString()));
    }

    [Fact]
    public void A_run_ends_at_a_gate_and_goes_on_when_less_is_required()
    {
        using var recipe = Gated("< 0.01 * before");
        var run = recipe.Run("run");
        Assert.NotEqual(0, run.Code);
        Assert.Matches("more has not reached what it must: reading is [0-9.]+ .*and must be < 0.01", run.Error);
        Assert.False(Directory.Exists(recipe.At("run", "stages", "03-last")));
        run = recipe.Run("run", "--set", "stages.more.require.reading=<= 2 * before");
        Assert.True(run.Code == 0, run.All);
    }

    [Fact]
    public void A_stage_that_misses_its_gate_is_trained_again_with_another_rate()
    {
        using var recipe = Gated("< 0.01 * before", "{action: repeat, rate: 0.1, times: 2}");
        var run = recipe.Run("run");
        Assert.NotEqual(0, run.Code);
        Assert.Contains("after 3 tries", run.Error);
        Assert.True(Directory.Exists(recipe.At("run", "failed", "02-more-1")) && Directory.Exists(recipe.At("run", "failed", "02-more-2")));
        var rates = File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["stage"]!.ToString() == "more" && line["rate"] is not null)
            .Select(line => line["rate"]!.GetValue<double>());
        Assert.Equal(1e-4, rates.First(), 1e-12);
    }

    [Fact]
    public void The_run_goes_on_from_the_model_before_one_that_misses_its_gate()
    {
        using var recipe = Gated("< 0.01 * before", "back");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.Contains("The stages after it go on from the model before it", run.All);
        Assert.Equal("read", Lineage(recipe, "03-last")["from"]!.ToString());
    }

    [Theory]
    [InlineData(">= 0.8", 0.8, null, true)]
    [InlineData("> 0.8", 0.8, null, false)]
    [InlineData("<= 1.1 * before", 109.0, 100.0, true)]
    [InlineData("<= 1.1*before", 111.0, 100.0, false)]
    [InlineData("< before", 99.0, 100.0, true)]
    [InlineData(">= -2e-1", -0.1, null, true)]
    [InlineData(">= 0", null, null, false)]
    [InlineData("<= 1.1 * before", 1.0, null, false)]
    public void A_bound_says_what_a_figure_must_be(string text, double? value, double? before, bool holds) =>
        Assert.Equal(holds, GateBound.Parse(text)!.Holds(value, before));

    [Theory]
    [InlineData("")]
    [InlineData("0.8")]
    [InlineData("= 0.8")]
    [InlineData(">= 0.8 * after")]
    [InlineData(">= 1.2.3")]
    [InlineData(">=")]
    public void What_is_no_bound_is_refused(string text) => Assert.Null(GateBound.Parse(text));

    [Theory]
    [InlineData("stages.more.require={reading: high}", "'high' is no bound")]
    [InlineData("stages.more.require={raeding: '> 1'}", "did you mean 'reading'?")]
    [InlineData("stages.last.else=back", "nothing is required")]
    [InlineData("stages.more.else=again", "again")]
    public void What_does_not_fit_is_refused_by_name(string set, string part)
    {
        using var recipe = Gated("<= 2 * before");
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml", "--set", set);
        Assert.Equal(2, refused.Code);
        Assert.Contains(part, refused.Error);
    }

    [Fact]
    public void A_gate_that_can_never_hold_is_refused()
    {
        using var recipe = new TinyRecipe(tiny => tiny.With("stages.tell.require", "{kinds: '> 1'}"));
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml");
        Assert.Equal(2, refused.Code);
        Assert.Contains("'kinds' is a share and never > 1", refused.Error);
    }
}
