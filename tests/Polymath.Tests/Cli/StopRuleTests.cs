using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Tests.Cli;

/// <summary>Stages that end because a figure of their steps has gone wrong.</summary>
[Trait("kind", "unit")]
public sealed class StopRuleTests
{
    private static TinyRecipe Stopping(string stop, int every = 2) => new(tiny => tiny
        .Without("abilities").Without("rewards")
        .With("stages", "[{name: read, kind: pretrain, data: lines, steps: 9, optimizer: {rate: 1e-2}, batch: {tokens: 300}, "
            + $"checkpoint: {{every: {every}, keep: 5}}, stop: [\"{stop}\"]}}]"));

    [Fact]
    public void A_stage_ends_with_the_weights_from_before_a_figure_went_wrong()
    {
        // The loss is always above 0, so the rule holds from the first step on: after five steps in a row nothing whole is left.
        using var none = Stopping("loss > 0 for 5");
        var failed = none.Run("run");
        Assert.NotEqual(0, failed.Code);
        Assert.Contains("no checkpoint from before is kept", failed.Error);
        // It falls below 4.6 on the way; the checkpoint from before is used, and the run is finished.
        using var recipe = Stopping("loss < 4.6 for 2");
        var run = recipe.Run("run");
        Assert.True(run.Code == 0, run.All);
        Assert.Matches("read: ends after step ([0-9]+): loss was below 4.6 for 2 steps", run.All);
        Assert.Matches("the weights of step [0-9]+ are used, from before loss went wrong", run.All);
        var losses = File.ReadLines(recipe.At("run", "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)
            .Where(line => line["name"]!.ToString() == "loss").Select(line => line["value"]!.GetValue<double>()).ToList();
        Assert.True(losses.Count < 9 && losses[^1] < 4.6 && losses[^2] < 4.6 && losses[^3] >= 4.6, string.Join(' ', losses));
        Assert.Equal(0, recipe.Run("parts", "--stop-after-step", "3").Code);
        Assert.Equal(0, recipe.Run("parts").Code);
        Assert.Equal(recipe.Hash("run"), recipe.Hash("parts"));
    }

    [Fact]
    public void A_figure_that_the_steps_do_not_have_is_named()
    {
        using var recipe = Stopping("kl > 1");
        var refused = recipe.Run("run");
        Assert.Equal(2, refused.Code);
        Assert.Contains("stop names the figure 'kl', and its steps have loss, gradientNorm", refused.Error);
    }

    [Theory]
    [InlineData("kl > 0.3 for 5", "kl", true, 0.3, 5)]
    [InlineData("please far ratios>1e-2", "please far ratios", true, 0.01, 1)]
    [InlineData("entropy < -0.5 for 10", "entropy", false, -0.5, 10)]
    public void A_rule_is_read(
        string text,
        string figure,
        bool above,
        double bound,
        int steps) => Assert.Equal(
        new StopRule(
            figure,
            above,
            bound,
            steps),
        StopRule.Parse(text));

    [Theory]
    [InlineData("kl")]
    [InlineData("kl = 1")]
    [InlineData("> 1")]
    [InlineData("kl > 1 for 0")]
    [InlineData("kl > one")]
    public void What_is_no_rule_is_refused(string text)
    {
        Assert.Null(StopRule.Parse(text));
        using var recipe = Stopping(text);
        var refused = CliProgram.Run(recipe.Path, "check", "tiny.yaml");
        Assert.Equal(2, refused.Code);
        Assert.Contains("is no rule", refused.Error);
    }
}
