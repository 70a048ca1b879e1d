using System.Text.Json.Nodes;

namespace Polymath.Tests.Text.Corpora;

/// <summary>Rows and files from public reports, made small: their content is learned, or reported, or refused with its place.</summary>
[Trait("kind", "unit")]
public sealed class PublicReportTests : IDisposable
{
    private static readonly JsonArray Reports = JsonNode.Parse(File.ReadAllBytes(TextFixtures.At("reports", "cases.json")))!.AsArray();

    private readonly ScratchFolder folder = new();

    public static TheoryData<int, string> Cases => new(Reports.Select((report, i) => (i, report!["source"]!.ToString())));

    public void Dispose() => folder.Dispose();

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_report_is_read_rightly(int index, string source)
    {
        var report = Reports[index]!;
        Assert.Equal(source, report["source"]!.ToString());
        var name = report["file"]!.ToString();
        var spec = ReadingScene.Source(folder.Write(name, report["text"]!.ToString()));
        if (report["fault"] is { } fault)
        {
            var message = ReadingScene.Fault(spec);
            Assert.Contains(fault.ToString(), message, StringComparison.Ordinal);
            Assert.Contains(name + ", ", message, StringComparison.Ordinal);
            return;
        }
        var preview = ReadingScene.Preview(spec);
        Assert.Equal(report["learned"]!.ToString(), ReadingScene.Learned(preview));
        if (report["note"] is { } note)
            Assert.Contains(preview.Notes, told => told.StartsWith(note.ToString(), StringComparison.Ordinal));
    }

    [Fact]
    public void There_are_thirty_reports_from_public_places() =>
        Assert.True(
            Reports.Select(report => report!["source"]!.ToString()).Where(source => source != "own input").Distinct().Count() >= 30);
}
