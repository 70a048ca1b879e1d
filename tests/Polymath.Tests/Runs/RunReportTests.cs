using System.Text.Json;
using CsCheck;
using Polymath.Recipes;
using Polymath.Runs.Reports;

namespace Polymath.Tests.Runs;

/// <summary>Reports as JSON.</summary>
[Trait("kind", "unit")]
public sealed class RunReportTests
{
    [Fact]
    public void A_report_reads_back_as_it_was_written()
    {
        foreach (var report in new[] { SampleReports.Whole, SampleReports.Empty })
        {
            var json = report.ToJson();
            Assert.Equal(json, RunReport.Parse(json).ToJson());
        }
        var back = RunReport.Parse(SampleReports.Whole.ToJson());
        Assert.Equal(SampleReports.Whole.Stages, back.Stages);
        Assert.Equal(SampleReports.Whole.Samples, back.Samples);
        Assert.Equal(SampleReports.Whole.Environment, back.Environment);
        Assert.Equal(SampleReports.Whole.Abilities[3].Values, back.Abilities[3].Values);
    }

    [Fact]
    public void Abilities_lie_flat_and_names_are_in_camel_case()
    {
        using var json = JsonDocument.Parse(SampleReports.Whole.ToJson());
        var row = json.RootElement.GetProperty("abilities")[1];
        Assert.Equal(
            ["after", "perplexity", "form", "tones", "distinct2", "author"], row.EnumerateObject().Select(property => property.Name));
        Assert.Equal((142.7, "pretrain"), (row.GetProperty("perplexity").GetDouble(), row.GetProperty("after").GetString()));
        Assert.Equal(0.587, json.RootElement.GetProperty("baselines").GetProperty("author: naive Bayes").GetDouble());
        Assert.Equal(1912, json.RootElement.GetProperty("stages")[0].GetProperty("peakMemoryMegabytes").GetDouble());
        Assert.Equal("AVX2", json.RootElement.GetProperty("environment").GetProperty("cpuCapability").GetString());
        Assert.Contains("明月滿寒塘", SampleReports.Whole.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_with_any_names_and_numbers_read_back() =>
        Gen.Dictionary(Gen.OneOf(Gen.String[Gen.Char["ab好\"\\<é"], 0, 6], Gen.Const("after")), Gen.Double).Sample(values =>
        {
            var row = JsonSerializer.Deserialize<AbilityRow>(JsonSerializer.Serialize(new AbilityRow("here", values)))!;
            Assert.Equal("here", row.After);
            Assert.Equal(values, row.Values);
        });

    [Fact]
    public void Numbers_that_are_none_read_back()
    {
        var report = SampleReports.Whole with
        {
            UnigramPerplexity = double.NaN,
            Stages = [SampleReports.Whole.Stages[0] with { LastLoss = double.PositiveInfinity }],
            Abilities = [new AbilityRow(
                "start",
                new Dictionary<string, double> { ["a"] = double.NaN, ["b"] = double.NegativeInfinity, ["c"] = double.PositiveInfinity })],
        };
        var back = RunReport.Parse(report.ToJson());
        Assert.Equal((double.NaN, double.PositiveInfinity), (back.UnigramPerplexity!.Value, back.Stages[0].LastLoss));
        Assert.Equal([double.NaN, double.NegativeInfinity, double.PositiveInfinity], back.Abilities[0].Values.Values);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[1, 2")]
    public void Other_text_is_no_report(string text) => Assert.Throws<InputException>(() => RunReport.Parse(text));

    [Theory]
    [InlineData("""{"perplexity": 1}""")]
    [InlineData("""{"after": "x", "form": "high"}""")]
    [InlineData("""{"after": "x", "form": [1]}""")]
    [InlineData("3")]
    public void Other_objects_are_no_ability_rows(string json) =>
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<AbilityRow>(json));
}
