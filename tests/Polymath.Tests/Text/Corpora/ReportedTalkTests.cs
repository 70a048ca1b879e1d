using System.Text.Json;

namespace Polymath.Tests.Text.Corpora;

/// <summary>
/// Rows and templates after public reports (<c>fixtures/reports/talks.json</c>, each with its source and what was seen there): line ends,
/// control characters and marks in texts, words that tables take for nothing, mixed kinds in a column, lists where lines belong, answers
/// that are empty or missing, roles out of turn, written markers, arguments of calls, and Python's methods in templates. What a row says
/// is learned, or told, or refused with its place.
/// </summary>
[Trait("kind", "unit")]
public sealed class ReportedTalkTests
{
    private static readonly JsonSerializerOptions reading = new() { PropertyNameCaseInsensitive = true };

    private static readonly Dictionary<string, ReportedTalk> reports =
        JsonSerializer.Deserialize<List<ReportedTalk>>(File.ReadAllText(TextFixtures.At("reports", "talks.json")), reading)!
            .ToDictionary(report => report.Id, StringComparer.Ordinal);

    public static TheoryData<string, string> Read => Of(report => report.Fault is null);

    public static TheoryData<string, string> Refused => Of(report => report.Fault is not null);

    private static TheoryData<string, string> Of(Func<ReportedTalk, bool> which)
    {
        var data = new TheoryData<string, string>();
        foreach (var report in reports.Values.Where(which)) data.Add(report.Id, report.Source);
        return data;
    }

    [Theory]
    [MemberData(nameof(Read))]
    public void What_the_report_gave_is_read_or_told(string id, string source)
    {
        var report = reports[id];
        Assert.Equal(source, report.Source);
        using var folder = new ScratchFolder();
        var preview = ReadingScene.Preview(ReadingScene.Source(Written(folder, report)), Asked(folder, report));
        if (report.Learned is { } learned)
            Assert.Equal(string.Join(" / ", learned), ReadingScene.Learned(preview));
        foreach (var part in report.Read ?? []) Assert.Contains(part, ReadingScene.All(preview), StringComparison.Ordinal);
        foreach (var (mark, count) in report.Marks ?? [])
            Assert.Equal(count, preview.Shown.SelectMany(row => row.Tokens).Count(token => token.Text == mark));
        if (report.Notes is not { } notes)
            return;
        Assert.Equal(notes.Count, preview.Notes.Count);
        foreach (var (part, told) in notes.Zip(preview.Notes)) Assert.StartsWith(part, told, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void What_the_report_gave_is_refused_with_its_place_and_a_way_out(string id, string source)
    {
        var report = reports[id];
        Assert.Equal(source, report.Source);
        using var folder = new ScratchFolder();
        var fault = ReadingScene.Fault(ReadingScene.Source(Written(folder, report)), Asked(folder, report));
        foreach (var part in report.Fault!) Assert.Contains(part, fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_report_says_where_it_was_seen_and_what_is_right()
    {
        Assert.True(reports.Count >= 28);
        Assert.All(reports.Values, report =>
        {
            Assert.Matches("^[^/ ]+/[^/# ]+#[0-9]+$", report.Source);
            Assert.NotEmpty(report.Seen);
            Assert.True(report.Fault is { Count: > 0 } || report.Learned is { Count: > 0 } || report.Read is { Count: > 0 });
        });
    }

    [Theory]
    [InlineData("%d %b %Y", "31 Dec 2027")]
    [InlineData("%Y-%m-%d %H:%M:%S", "2027-12-31 05:06:07")]
    [InlineData("%G-W%V %U %W %-l%P", "2027-W52 52 52 5am")]
    public void A_template_asks_for_the_time_in_any_format(string format, string written)
    {
        // oobabooga/textgen#6675: strftime_now is unknown. lmstudio-ai/lmstudio-bug-tracker#577: it knows one format only.
        var template = Polymath.Text.Templates.Jinja.JinjaTemplate.Parse($"{{{{ strftime_now('{format}') }}}}");
        Assert.Equal(written, template.Render([], clock: new StoppedClock()).Text);
    }

    private static string Written(ScratchFolder folder, ReportedTalk report) => folder.Write(report.File, report.Text);

    private static string Asked(ScratchFolder folder, ReportedTalk report) =>
        report.Template is { } source ? folder.Write("asked.jinja", source) : "chatml";

    private sealed class StoppedClock : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(
            2027,
            12,
            31,
            5,
            6,
            7,
            TimeSpan.Zero);
    }
}

/// <summary>A public report, made small.</summary>
/// <param name="Id">Its number here.</param>
/// <param name="Source">The repository and the number of the report.</param>
/// <param name="Seen">What went wrong there.</param>
/// <param name="File">The name of the file.</param>
/// <param name="Text">What stands in it.</param>
/// <param name="Template">A chat template; null for ChatML.</param>
/// <param name="Learned">What is learned of each row; null where that is not asked.</param>
/// <param name="Read">Parts of all that is read.</param>
/// <param name="Marks">How often a marker stands as one token.</param>
/// <param name="Notes">How each note begins.</param>
/// <param name="Fault">Parts of the refusal.</param>
public sealed record ReportedTalk(
    string Id,
    string Source,
    string Seen,
    string File,
    string Text,
    string? Template,
    IReadOnlyList<string>? Learned,
    IReadOnlyList<string>? Read,
    Dictionary<string, int>? Marks,
    IReadOnlyList<string>? Notes,
    IReadOnlyList<string>? Fault);
