using System.Text;
using Polymath.Recipes;

namespace Polymath.Runs.Reports;

/// <summary>The parts of the page about the stages.</summary>
internal static class StageSections
{
    private const string Loss = MetricLine.Loss;
    private const int MostPoints = 300;

    /// <summary>For each stage its loss, with a dot where abilities were measured, and a small chart of each of these abilities.</summary>
    public static string Curves(ReportView view)
    {
        if (view.Stages.Count == 0) return "<p class=\"none\">No stage has run.</p>";
        var byStage = view.Metrics.ToLookup(point => point.Stage, StringComparer.Ordinal);
        var html = new StringBuilder("<div class=\"charts wide\">");
        foreach (var stage in view.Stages)
        {
            var points = byStage[stage].OrderBy(point => point.Step).ToList();
            var live = view.Report.Live is { } now && now.Name == stage ? now : null;
            var kind = view.Report.Stages.FirstOrDefault(report => report.Name == stage)?.Kind ?? live?.Kind ?? "unfinished";
            html.Append($"<figure class=\"{view.Colour(stage)}\"><figcaption><i class=\"dot {view.Colour(stage)}\"></i>{Html.Text(stage)}")
                .Append($"<small>{Html.Text(kind == stage ? "" : kind)}</small></figcaption>")
                .Append(LossChart(view, stage, points));
            foreach (var ability in view.Abilities)
            {
                var measured = points.Where(point => point.Name == ability).Select(point => ((double)point.Step, point.Value)).ToList();
                if (measured.Count < 2) continue;
                var titles = measured.Select(point => $"step {point.Item1}: {Figures.Short(point.Value)}").ToList();
                // A gap at the last step, so that all axes of the stage end there.
                List<(double, double)> line = [.. measured, (points[^1].Step, double.NaN)];
                ChartSeries[] series = [new("thin", line), new("dots", measured, titles)];
                html.Append(SvgChart.Line($"{ability} during {stage}", ability, series, 130));
            }
            html.Append(StepChart(stage, "gradient norm", points, line => line.GradientNorm))
                .Append(StepChart(stage, "learning rate", points, line => line.Rate));
            html.Append("</figure>");
        }
        return html.Append("</div>").ToString();
    }

    /// <summary>What became of each stage's rows: how many train, and which were cut or left out.</summary>
    public static string Rows(ReportView view)
    {
        var known = view.Report.Stages.Where(stage => stage.Rows is not null).Select(stage => (stage.Name, Rows: stage.Rows!)).ToList();
        if (view.Report.Live is { Rows: { } live } now && known.All(pair => pair.Name != now.Name)) known.Add((now.Name, live));
        if (known.Count == 0) return "";
        var html = new StringBuilder("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">stage</th><th scope=\"col\">rows</th>")
            .Append("<th scope=\"col\">tokens</th><th scope=\"col\">learned</th><th scope=\"col\" class=\"word\">cut or left out, ")
            .Append("with the first of them</th></tr></thead><tbody>");
        foreach (var (name, rows) in known)
        {
            var changes = rows.Changed.Select(change => $"{Figures.Count(change.Rows)} {Html.Text(change.What)}"
                + $"<small>{Html.Text(string.Join(", ", change.Examples))}</small>");
            html.Append($"<tr><th scope=\"row\"><i class=\"dot {view.Colour(name)}\"></i>{Html.Text(name)}</th>")
                .Append($"<td>{Figures.Count(rows.Rows)}</td><td>{Figures.Count(rows.Tokens)}</td><td>{Figures.Count(rows.Targets)}</td>")
                .Append($"<td class=\"word\">{(rows.Changed.Count == 0 ? "none" : string.Concat(changes))}</td></tr>");
        }
        return html.Append("</tbody></table></div>").ToString();
    }

    /// <summary>What each stage trained, how long it took and how much memory it used.</summary>
    public static string Table(ReportView view)
    {
        if (view.Report.Stages.Count == 0) return "";
        var html = new StringBuilder("<div class=\"scroll\"><table><thead><tr>");
        foreach (var name in new[]
        {
            "stage", "method", "steps", "time", "tokens", "tokens/s", "trained", "first loss", "last loss",
            "held out", "memory",
        })
            html.Append($"<th scope=\"col\"{(name == "method" ? " class=\"word\"" : "")}>{name}</th>");
        html.Append("</tr></thead><tbody>");
        foreach (var stage in view.Report.Stages)
        {
            var share = stage.TotalParameters > 0 ? (double)stage.TrainableParameters / stage.TotalParameters : double.NaN;
            html.Append($"<tr><th scope=\"row\"><i class=\"dot {view.Colour(stage.Name)}\"></i>{Html.Text(stage.Name)}</th>")
                .Append($"<td class=\"word\">{Html.Text(stage.Method)}</td>")
                .Append(
                    $"<td>{Figures.Count(stage.Steps)}</td><td>{Figures.Time(stage.Seconds)}</td><td>{Figures.Large(stage.Tokens)}</td>")
                .Append($"<td>{Figures.Short(stage.TokensPerSecond)}</td>")
                .Append($"<td>{Figures.Percent(share)}<small>{Figures.Large(stage.TrainableParameters)}</small></td>")
                .Append($"<td>{Figures.Short(stage.FirstLoss)}</td><td>{Figures.Short(stage.LastLoss)}</td>")
                .Append($"<td>{HeldOut(stage)}</td>")
                .Append($"<td>{Figures.Memory(stage.PeakMemoryMegabytes)}</td></tr>");
        }
        return html.Append("</tbody></table></div>").ToString();
    }

    // A small chart of what the lines of the steps say besides the loss.
    private static string StepChart(string stage, string name, List<MetricLine> points, Func<MetricLine, double?> of)
    {
        var said = points.Where(line => line.Name == Loss && of(line) is not null)
            .Select(line => ((double)line.Step, of(line)!.Value)).ToList();
        return said.Count < 2 ? "" : SvgChart.Line($"{name} during {stage}", name, [new ChartSeries("thin", Thinned(said))], 130);
    }

    private static string HeldOut(StageReport stage) => stage switch
    {
        { HeldOutLoss: { } loss, HeldOutSpread: { } spread } when double.IsFinite(spread) =>
            $"{Figures.Short(loss)}<small>± {Figures.Short(spread)}</small>",
        { HeldOutLoss: { } loss } => Figures.Short(loss),
        _ => "",
    };

    private static string LossChart(ReportView view, string stage, List<MetricLine> points)
    {
        var raw = Thinned([.. points.Where(point => point.Name == Loss).Select(point => ((double)point.Step, point.Value))]);
        var smooth = Smoothed(raw);
        var measured = points.Where(point => view.Abilities.Contains(point.Name)).GroupBy(point => point.Step).ToList();
        var dots = measured.Select(group => ((double)group.Key, Nearest(smooth, group.Key))).ToList();
        var titles = measured
            .Select(group => $"step {group.Key}: {string.Join(", ", group.Select(point => $"{point.Name} {Figures.Short(point.Value)}"))}")
            .ToList();
        // A few points are drawn alone; with many points, their moving mean is drawn, too.
        IReadOnlyList<ChartSeries> lines = ReferenceEquals(raw, smooth) ? [new("bold", raw)] : [new("thin", raw), new("bold", smooth)];
        var heldOut = points.Where(point => point.Name == EvaluateSpec.HeldOutLoss)
            .Select(point => ((double)point.Step, point.Value)).ToList();
        var title = heldOut.Count > 0 ? "loss, nats a token; dashed: held out" : "loss, nats a token";
        return SvgChart.Line(
            $"loss during {stage}", title, [.. lines, new ChartSeries("held", heldOut), new ChartSeries("dots", dots, titles)]);
    }

    /// <summary>
    /// Averages neighbours until a chart can show all points; when one of them is not a number, their mean is not one either.
    /// </summary>
    internal static List<(double X, double Y)> Thinned(List<(double X, double Y)> points)
    {
        var every = (points.Count + MostPoints - 1) / MostPoints;
        return every <= 1
            ? points
            : [.. points.Chunk(every).Select(chunk => (chunk.Average(point => point.X), chunk.Average(point => point.Y)))];
    }

    /// <summary>The mean of each point and its neighbours, over a twentieth of the line.</summary>
    private static List<(double X, double Y)> Smoothed(List<(double X, double Y)> points)
    {
        var reach = points.Count / 40;
        if (reach == 0) return points;
        return [.. points.Select((point, i) =>
        {
            // At the start, each side has only as many neighbours as there are points before; otherwise the first steep fall would be drawn
            // too low.
            int left = Math.Min(reach, i), right = Math.Min(left, points.Count - 1 - i);
            var near = points.GetRange(i - left, left + right + 1).Select(neighbour => neighbour.Y).Where(double.IsFinite);
            return (point.X, double.IsFinite(point.Y) ? near.Average() : double.NaN);
        })];
    }

    private static double Nearest(List<(double X, double Y)> points, int step) =>
        points.Count == 0 ? double.NaN : points.MinBy(point => Math.Abs(point.X - step)).Y;
}
