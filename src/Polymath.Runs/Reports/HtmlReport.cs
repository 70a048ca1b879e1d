using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>A report as one self-contained page: no scripts, no other files, light or dark like the reader's system.</summary>
public static class HtmlReport
{
    private const int RefreshSeconds = 30;

    /// <summary>Draws the page.</summary>
    /// <param name="report">The report.</param>
    /// <param name="metrics">The figures measured during the run, for the curves.</param>
    /// <param name="higherIsBetter">For each ability, whether a higher value is better; changes of other abilities are shown without a
    /// judgement.</param>
    /// <returns>The whole HTML document.</returns>
    public static string Render(RunReport report, IReadOnlyList<MetricLine> metrics, IReadOnlyDictionary<string, bool> higherIsBetter)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(metrics);
        ArgumentNullException.ThrowIfNull(higherIsBetter);
        var view = new ReportView(report, metrics, higherIsBetter);
        string[] sections =
        [
            Html.Section("", AbilitySections.Cards(view)),
            Html.Section("Abilities after each stage", AbilitySections.Bars(view) + AbilitySections.Table(view)),
            Html.Section("Learning curves", StageSections.Curves(view)),
            Html.Section("Flight recorder of sampling", RolloutSections.Recorder(view)),
            Html.Section("Best and worst answers of each round", RolloutSections.Answers(view)),
            Html.Section("Stages", StageSections.Table(view)),
            Html.Section("Rows", StageSections.Rows(view)),
            Html.Section("Samples", Samples(view)),
            Html.Section("What to try next", Next(report)),
            Html.Section("Environment, and how to repeat", Environment(report)),
        ];
        return Html.Page(
            "Polymath training report",
            report.Name,
            Lead(report),
            string.Join('\n', sections),
            refresh: report.Live is null ? null : RefreshSeconds);
    }

    private static string Lead(RunReport report)
    {
        var facts = new List<string> { $"seed {report.Seed}" };
        if (report.Stages.Count > 0)
        {
            facts.Insert(0, report.Stages.Count == 1 ? "1 stage" : $"{report.Stages.Count} stages");
            facts.Insert(1, $"{Figures.Time(report.Stages.Sum(stage => stage.Seconds))} of training");
            facts.Insert(2, $"{Figures.Large(report.Stages[^1].TotalParameters)} parameters");
            facts.Insert(3, $"{Figures.Large(report.Stages.Sum(stage => stage.Tokens))} tokens");
        }
        if (report.Live is { } live)
            facts.Insert(0, $"<b>running: {Html.Text(live.Name)}, step {Figures.Count(live.Step)} of {Figures.Count(live.Steps)}</b>");
        return $"<p class=\"lead\">{Html.Text(report.Recipe)}</p><ul "
            + $"class=\"facts\">{string.Concat(facts.Select(fact => $"<li>{fact}</li>"))}</ul>";
    }

    private static string Samples(ReportView view)
    {
        if (view.Report.Samples.Count == 0) return "";
        var html = new StringBuilder("<div class=\"samples\">");
        foreach (var sample in view.Report.Samples)
        {
            string prompt = sample.Prompt, answer = sample.Answer.Trim();
            html.Append($"<article><h3><i class=\"dot {view.Colour(sample.After)}\"></i>after {Html.Text(sample.After)}</h3>")
                .Append($"<p class=\"prompt\"{Html.Language(prompt)}>{(prompt.Length == 0 ? "free text" : Html.Text(prompt))}</p>")
                .Append(answer.Length == 0
                    ? "<p class=\"none\">an empty answer</p>"
                    : $"<blockquote{Html.Language(answer)}>{Html.Text(answer)}</blockquote>")
                .Append("</article>");
        }
        return html.Append("</div>").ToString();
    }

    private static string Next(RunReport report) =>
        report.Next.Count == 0 ? "" : $"<ol class=\"next\">{string.Concat(report.Next.Select(line => $"<li>{Html.Text(line)}</li>"))}</ol>";

    private static string Environment(RunReport report)
    {
        var e = report.Environment;
        var rows = new (string Name, string Value)[]
        {
            ("Polymath", e.Polymath), (".NET", e.Dotnet), ("libtorch", e.Libtorch), ("device", e.Device),
            ("instructions", e.CpuCapability), ("threads", Figures.Count(e.Threads)), ("system", e.Os),
        };
        var known = rows.Where(row => row.Value.Length > 0).Select(row => $"<div><dt>{row.Name}</dt><dd>{Html.Text(row.Value)}</dd></div>");
        return $"""
            <dl>{string.Concat(known)}</dl>
            <p>The recipe of this run is in the same folder as this page. With the same seed, {report.Seed}, the same versions and as many
            threads, it gives the same results. Type this in the folder from which the recipe was run, with this folder's name:</p>
            <pre>OMP_NUM_THREADS={report.Environment.Threads} ./polymath run RUN-FOLDER/recipe.yaml --run-dir runs/again</pre>
            """;
    }
}
