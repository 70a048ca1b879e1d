using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>A comparison as one self-contained page: quality against parameters, time and memory, with the spread over seeds.</summary>
public static class ComparisonPage
{
    private const int Colours = 6;

    /// <summary>Draws the page.</summary>
    /// <param name="report">The comparison.</param>
    /// <returns>The whole HTML document.</returns>
    public static string Render(ComparisonReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var seeds = report.Rows.Max(row => row.Seeds);
        var spread = seeds == 1
            ? "One seed: the spread is not known, and small differences mean nothing."
            : $"Dots are means over {seeds} seeds, lines reach from the smallest to the largest value.";
        var better = report.HigherIsBetter ? "more" : "less";
        var lead = $"<p class=\"lead\">Ranked by {Html.Text(report.Quality)}, {better} is better. {spread}</p>";
        var examples = report.Rows.Any(row => row.Examples is not null)
            ? Chart(report, "training rows", row => row.Examples ?? double.NaN)
            : "";
        var charts = examples + Chart(report, "parameters trained", row => row.Parameters)
            + Chart(report, "seconds of training", row => row.Seconds)
            + Chart(report, "peak memory, MB", row => row.PeakMemoryMegabytes);
        return Html.Page("Polymath comparison", $"{report.Recipe}: {report.Stage}", lead, string.Join('\n', (string[])
        [
            Html.Section("", $"<div class=\"charts wide\">{charts}</div>"),
            Html.Section("All ways", Table(report)),
            Html.Section("Not trained", Failed(report)),
        ]));
    }

    private static string Chart(ComparisonReport report, string across, Func<ComparisonRow, double> of)
    {
        var dots = report.Rows.Select((row, i) => (Row: row, Value: row.Abilities[report.Quality], Index: i))
            .Select(item => new ScatterDot(
                item.Row.Name,
                of(item.Row),
                item.Value.Mean,
                item.Value.Least,
                item.Value.Most,
                $"k{1 + (item.Index % Colours)}")).ToList();
        (string, double)? start = report.Start.TryGetValue(report.Quality, out var before) ? ("before the stage", before.Mean) : null;
        var chart = SvgChart.Scatter(
            $"{report.Quality} against {across}",
            report.Quality,
            across,
            dots,
            start);
        return $"<figure><figcaption>{Html.Text(report.Quality)}<small>against {across}</small></figcaption>{chart}</figure>";
    }

    private static string Table(ComparisonReport report)
    {
        var names = report.Rows.SelectMany(row => row.Abilities.Keys).Distinct().OrderBy(name => name != report.Quality).ToList();
        var html = new StringBuilder("<div class=\"scroll\"><table><thead><tr><th class=\"word\">way</th>")
            .Append(string.Concat(names.Select(name => $"<th>{Html.Text(name)}</th>")))
            .Append("<th>parameters</th><th>share</th><th>time</th><th>tokens/s</th><th>peak memory</th></tr></thead><tbody>");
        foreach (var row in report.Rows)
        {
            string[] costs =
            [
                Figures.Count(row.Parameters), Figures.Percent(row.Share), Figures.Time(row.Seconds),
                Figures.Count((long)row.TokensPerSecond), Figures.Memory(row.PeakMemoryMegabytes),
            ];
            var seeds = row.Seeds == 1 ? "1 seed" : $"{row.Seeds} seeds";
            html.Append($"<tr><th class=\"word\">{Html.Text(row.Name)}<small>{seeds}</small></th>")
                .Append(string.Concat(names.Select(name => $"<td>{Cell(row.Abilities.GetValueOrDefault(name))}</td>")))
                .Append(string.Concat(costs.Select(cost => $"<td>{cost}</td>")))
                .Append("</tr>");
        }
        html.Append("</tbody><tfoot><tr><th class=\"word\">before the stage</th>")
            .Append(string.Concat(names.Select(name => $"<td>{Cell(report.Start.GetValueOrDefault(name))}</td>")))
            .Append("<td></td><td></td><td></td><td></td><td></td></tr></tfoot></table></div>");
        return html.ToString();
    }

    private static string Cell(Spread? spread)
    {
        if (spread is null) return Figures.Missing;
        return Figures.Short(spread.Mean) + (spread.Deviation is { } deviation
            ? $" ± {Figures.Short(deviation)}<small>{Figures.Short(spread.Least)} to {Figures.Short(spread.Most)}</small>"
            : "<small></small>");
    }

    private static string Failed(ComparisonReport report)
    {
        var lines = report.Failed.Select(pair => $"<li>{Html.Text(pair.Key)}: {Html.Text(pair.Value)}</li>");
        return report.Failed.Count == 0 ? "" : $"<ol class=\"next\">{string.Concat(lines)}</ol>";
    }
}
