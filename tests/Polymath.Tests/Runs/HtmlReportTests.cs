using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using CsCheck;
using Polymath.Runs.Reports;
using Polymath.Runs;

namespace Polymath.Tests.Runs;

/// <summary>The page and its charts.</summary>
[Trait("kind", "unit")]
public sealed class HtmlReportTests
{
    private const string Hostile = "<script>alert(1)</script>\"'&";

    [Fact]
    public void The_page_shows_every_part_and_needs_nothing_else()
    {
        var metrics = SampleReports.Metrics();
        var page = HtmlReport.Render(SampleReports.Whole with { Next = ["Sleep on it."] }, metrics, SampleReports.HigherIsBetter);
        foreach (var text in new[]
        {
            "明月滿寒塘", "Sleep on it.", "naive Bayes", "unigram, 812", "4 min 11 s", "AVX2", "prefers-color-scheme: dark", "beats", "2.4%",
            "polymath run",
        })
            Assert.Contains(text, page, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotMatch(@"(?i)(src|href)\s*=|@import|url\(|https?:", page);
        Assert.Equal(5 + 4 + 4, Charts(page).Count);
    }

    [Fact]
    public void Changes_are_coloured_by_what_is_better()
    {
        var page = HtmlReport.Render(SampleReports.Whole, [], SampleReports.HigherIsBetter);
        Assert.Contains("<span class=\"good\" title=\"better\">▼ 5,878</span>", page, StringComparison.Ordinal);
        Assert.Contains("<span class=\"bad\" title=\"worse\">▲ 8.50</span>", page, StringComparison.Ordinal);
        Assert.Contains("<span class=\"bad\" title=\"worse\">▼ 0.092</span>", page, StringComparison.Ordinal);
        Assert.DoesNotContain(
            "title=\"better\"", HtmlReport.Render(SampleReports.Whole, [], new Dictionary<string, bool>()), StringComparison.Ordinal);
    }

    [Fact]
    public void All_text_is_escaped()
    {
        var report = new RunReport(
            Hostile,
            Hostile,
            1,
            2,
            0.5,
            new Dictionary<string, double> { [Hostile] = 1, [Hostile + ": " + Hostile] = 2 },
            [SampleReports.Whole.Stages[0] with { Name = Hostile, Kind = Hostile, Method = Hostile }],
            [new AbilityRow(Hostile, new Dictionary<string, double> { [Hostile] = 1 })],
            [new SampleReport(Hostile, Hostile, Hostile), new SampleReport("", "", " ")],
            new EnvironmentReport(
                Hostile,
                Hostile,
                Hostile,
                Hostile,
                1,
                Hostile,
                Hostile),
            [Hostile]);
        MetricLine[] metrics = [new(Hostile, 1, "loss", 2), new(Hostile, 1, Hostile, 2), new(Hostile, 2, Hostile, 3)];
        var page = HtmlReport.Render(report, metrics, new Dictionary<string, bool> { [Hostile] = true });
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("\"'&", page, StringComparison.Ordinal);
        Assert.Contains("&lt;script&gt;", page, StringComparison.Ordinal);
        Assert.All(Charts(page), chart => XElement.Parse(chart));
    }

    [Fact]
    public void An_empty_run_has_a_page()
    {
        var page = HtmlReport.Render(SampleReports.Empty, [], SampleReports.HigherIsBetter);
        Assert.Contains("No abilities were measured.", page, StringComparison.Ordinal);
        Assert.Contains("No stage has run.", page, StringComparison.Ordinal);
        Assert.Empty(Charts(page));
    }

    [Fact]
    public void A_stage_that_was_only_begun_has_a_curve_and_a_baseline_of_no_ability_is_listed()
    {
        var report = SampleReports.Whole with { Stages = [], Baselines = new Dictionary<string, double> { ["oracle"] = 0.9 } };
        var page = HtmlReport.Render(report, [new("later", 1, "loss", 3)], new Dictionary<string, bool>());
        Assert.Contains("later<small>unfinished</small>", page, StringComparison.Ordinal);
        Assert.Contains("For comparison: oracle 0.900; majority 0.412; unigram 812.", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_numbers_give_sound_charts()
    {
        var number = Gen.OneOf(
            Gen.Double,
            Gen.Double[-1, 1],
            Gen.Const(double.NaN),
            Gen.Const(double.PositiveInfinity),
            Gen.Const(7.0),
            Gen.Const(0.0));
        Gen.Select(number.List[0, 20], number.List[0, 3]).Sample((values, references) =>
        {
            var points = values.Select((value, i) => ((double)i, value)).ToList();
            Sound(SvgChart.Line("t", "u", [new("thin", points), new("dots", points)]));
            Sound(SvgChart.Bars(
                "t", [.. values.Select(value => new ChartBar("b", value, "k0"))], [.. references.Select(value => ("r", value))]));
        });
    }

    [Fact]
    public void Numbers_that_are_none_are_gaps()
    {
        var chart = SvgChart.Line("t", "u", [new("bold", [(1, 2), (2, double.NaN), (3, 4), (4, double.PositiveInfinity), (5, 1), (6, 2)])]);
        Assert.Equal(3, Regex.Count(chart, @"M[\d.]+ "));
        Assert.Equal(1, Regex.Count(chart, @"L[\d.]+ "));
        var bars = SvgChart.Bars("t", [new("a", 1, "k0"), new("b", double.NaN, "k1")], []);
        Assert.Equal(1, Regex.Count(bars, "<rect"));
        Assert.Contains(Figures.Missing, bars, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_of_dots_stand_beside_them_and_on_nothing_else()
    {
        string Drawn(params (double X, double Y)[] places) =>
            SvgChart.Scatter("t", "up", "across", [.. places.Select((place, i) => new ScatterDot(
                $"name-{i}",
                place.X,
                place.Y,
                place.Y,
                place.Y,
                "k0"))], null);
        List<(double X, double Y, string Side)> Names(string chart) =>
            [.. Regex.Matches(chart, "<text class=\"name\" x=\"([\\d.]+)\" y=\"([\\d.]+)\" text-anchor=\"(\\w+)\"")
                .Select(found => (
                    double.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture),
                    double.Parse(found.Groups[2].Value, CultureInfo.InvariantCulture),
                    found.Groups[3].Value))];
        Assert.Equal(3, Names(Drawn((1, 1), (5, 5), (9, 9))).Count);
        // Many in one place: at most one name in each of the four corners; the others are only in the tooltips.
        var crowded = Names(Drawn([(1, 1), (9, 9), .. Enumerable.Repeat((5.0, 5.0), 6)]));
        Assert.Equal(6, crowded.Count);
        Assert.Equal(6, crowded.Distinct().Count());
        // None below the lowest dots, where the axis has its figures.
        Assert.All(Names(Drawn(
            (5, 9),
            (5, 1),
            (5, 1),
            (5, 1),
            (5, 1))), name => Assert.True(name.Y <= 230, $"{name}"));
    }

    [Fact]
    public void One_point_and_a_constant_are_drawn_in_the_middle()
    {
        foreach (var points in new List<(double, double)>[] { [(1, 3)], [(1, 3), (2, 3), (3, 3)] })
        {
            var chart = SvgChart.Line("t", "u", [new("dots", points)], 134);
            Assert.Contains("cy=\"61\"", chart, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(0.8734, "0.873")]
    [InlineData(61.54, "61.5")]
    [InlineData(12345.6, "12,346")]
    [InlineData(double.NaN, Figures.Missing)]
    [InlineData(0.00012, "1.2e-4")]
    public void Numbers_are_short(double value, string text) => Assert.Equal(text, Figures.Short(value));

    [Theory]
    [InlineData(new double[] { 0, 0.9 }, "0 0.5 1.0")]
    [InlineData(new double[] { 4.2, 8.7 }, "4 6 8 10")]
    [InlineData(new double[] { 0, 52000 }, "0 20k 40k 60k")]
    [InlineData(new double[] { -1, 1 }, "-1.0 -0.5 0 0.5 1.0")]
    public void Axes_have_round_values(double[] values, string texts)
    {
        var axis = Axis.Linear(values, 0, 100);
        Assert.Equal(texts, string.Join(' ', axis.Ticks.Select(axis.Text)));
        Assert.Equal((0.0, 100.0), (axis.At(axis.Ticks[0]), axis.At(axis.Ticks[^1])));
    }

    private static void Sound(string chart)
    {
        XElement.Parse(chart);
        Assert.DoesNotMatch("NaN|Infinity|∞", chart);
        foreach (Match place in Regex.Matches(chart, " (?:x|y|x1|y1|y2|cx|cy|width|height)=\"([^\"]*)\""))
            Assert.InRange(double.Parse(place.Groups[1].Value), -10, 500);
    }

    private static List<string> Charts(string page) =>
        [.. Regex.Matches(page, "<svg.*?</svg>", RegexOptions.Singleline).Select(match => match.Value)];
}
