using Polymath.Runs.Reports;
using Polymath.Runs;

namespace Polymath.Tests.Runs;

/// <summary>Advice follows from the numbers.</summary>
[Trait("kind", "unit")]
public sealed class SuggestionsTests
{
    private static readonly Dictionary<string, bool> Better = new() { ["skill"] = true, ["distinct2"] = true, ["perplexity"] = false };

    [Fact]
    public void A_sound_run_is_told_so() => Assert.StartsWith(
        "There is nothing to correct", Assert.Single(For(Rows(("start", 0.1), ("read", 0.5), ("tune", 0.49)))), StringComparison.Ordinal);

    [Fact]
    public void An_empty_run_is_asked_for() =>
        Assert.StartsWith("No stage has run", Assert.Single(Suggestions.For(SampleReports.Empty, Better)), StringComparison.Ordinal);

    [Fact]
    public void A_lost_ability_names_its_stage_and_the_remedy_fits_the_method()
    {
        Assert.Contains(
            "skill went from 0.500 to 0.400 after tune. Mix the data it was learned from into tune",
            Assert.Single(For(Rows(("start", 0.1), ("read", 0.5), ("tune", 0.4)))),
            StringComparison.Ordinal);
        Assert.Contains("a small delta", Assert.Single(For(Rows(("start", 0.5), ("read", 0.4)))), StringComparison.Ordinal);
        Assert.Contains("delta smaller", Assert.Single(For(Rows(("start", 0.1), ("read", 0.5), ("tune", 0.4)))), StringComparison.Ordinal);
        Assert.Contains(
            "skill went from 0.500 to 0.300 after please. Raise beta",
            Assert.Single(For(Rows(("start", 0.1), ("read", 0.5), ("please", 0.3)))),
            StringComparison.Ordinal);
    }

    [Fact]
    public void An_ability_that_came_back_is_not_lost() =>
        Assert.StartsWith(
            "There is nothing",
            Assert.Single(For(Rows(("start", 0.1), ("read", 0.5), ("tune", 0.3), ("please", 0.5)))),
            StringComparison.Ordinal);

    [Fact]
    public void Variety_lost_in_alignment_asks_for_beta_but_noise_is_no_variety()
    {
        AbilityRow[] rows = [Row("start", "distinct2", 0.99), Row("read", "distinct2", 0.8), Row("please", "distinct2", 0.7)];
        Assert.Contains(
            "distinct2 went from 0.800 to 0.700 after please. Answers become similar: raise beta",
            Assert.Single(For(rows)),
            StringComparison.Ordinal);
    }

    [Fact]
    public void An_ability_behind_its_best_baseline_asks_for_more()
    {
        var report = Report(Rows(
            ("start", 0.1),
            ("read", 0.5))) with { Baselines = new Dictionary<string, double> { ["skill: majority"] = 0.6, ["skill: naive Bayes"] = 0.7 } };
        Assert.Contains(
            "skill (0.500 at best) is behind naive Bayes (0.700)",
            Assert.Single(Suggestions.For(report, Better)),
            StringComparison.Ordinal);
        var reading = Report([Row("read", "perplexity", 900)]) with { UnigramPerplexity = 800 };
        Assert.Contains(
            "perplexity (900 at best) is behind unigram (800)", Assert.Single(Suggestions.For(reading, Better)), StringComparison.Ordinal);
    }

    [Fact]
    public void Losses_that_did_not_fall_or_are_none_or_still_fall_are_told()
    {
        var report = Report(Rows(("start", 0.1)));
        var stage = report.Stages[0];
        Assert.Contains(
            "did not fall (4.00 to 4.50)",
            Assert.Single(Suggestions.For(report with { Stages = [stage with { LastLoss = 4.5 }] }, Better)),
            StringComparison.Ordinal);
        Assert.Contains(
            "is not a number at its end",
            Assert.Single(Suggestions.For(report with { Stages = [stage with { LastLoss = double.NaN }] }, Better)),
            StringComparison.Ordinal);
        List<MetricLine> falling = [.. Enumerable.Range(1, 100).Select(step => new MetricLine("read", step, "loss", 5 - 0.02 * step))];
        Assert.Contains(
            "The loss of read was still falling at its end (3.29 to 3.09",
            Assert.Single(Suggestions.For(report, Better, falling)),
            StringComparison.Ordinal);
        // Rows that are held out say whether more steps would help.
        List<MetricLine> HeldOut(double end) =>
            [.. falling, .. new[] { 3.0, 2.5, 2.4, end }.Select((value, i) => new MetricLine("read", 25 * (i + 1), "heldOutLoss", value))];
        Assert.Contains("was still falling", Assert.Single(Suggestions.For(report, Better, HeldOut(2.2))), StringComparison.Ordinal);
        Assert.StartsWith("There is nothing", Assert.Single(Suggestions.For(report, Better, HeldOut(2.41))), StringComparison.Ordinal);
        Assert.Contains(
            "read learns its rows by heart: the held-out loss was best after step 75 (2.40) and is 3.10 at the end",
            Assert.Single(Suggestions.For(report, Better, HeldOut(3.1))),
            StringComparison.Ordinal);
        List<MetricLine> flat = [.. falling.Select(point => point with { Value = 3 + Math.Exp(-point.Step) })];
        Assert.StartsWith("There is nothing", Assert.Single(Suggestions.For(report, Better, flat)), StringComparison.Ordinal);
    }

    private static IReadOnlyList<string> For(IReadOnlyList<AbilityRow> rows) => Suggestions.For(Report(rows), Better);

    private static RunReport Report(IReadOnlyList<AbilityRow> rows) => SampleReports.Empty with
    {
        Stages =
        [
            new StageReport("read", "pretrain", "full", 100, 1, 1, 1, 10, 10, 4, 3, 1),
            new StageReport("tune", "finetune", "lora", 100, 1, 1, 1, 1, 10, 4, 3, 1),
            new StageReport("please", "align", "full", 100, 1, 1, 1, 10, 10, 0.6, 0.7, 1),
        ],
        Abilities = rows,
    };

    private static AbilityRow[] Rows(params (string After, double Value)[] rows) =>
        [.. rows.Select(row => Row(row.After, "skill", row.Value))];

    private static AbilityRow Row(string after, string ability, double value) =>
        new(after, new Dictionary<string, double> { [ability] = value });
}
