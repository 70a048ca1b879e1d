using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>The parts of the page about stages that sample their own answers: every figure of their steps and rounds, and
/// answers.</summary>
internal static class RolloutSections
{
    private const string Round = "rollout ", Step = "train ";
    private const int Height = 130;

    /// <summary>The flight recorder: a small chart of each figure of the rounds, then of the steps.</summary>
    public static string Recorder(ReportView view)
    {
        var html = new StringBuilder();
        foreach (var stage in view.Stages)
        {
            var lines = view.Metrics.Where(line => line.Stage == stage).ToList();
            if (!lines.Any(line => line.Name.Contains(Round, StringComparison.Ordinal))) continue;
            html.Append($"<figure class=\"{view.Colour(stage)}\"><figcaption><i class=\"dot {view.Colour(stage)}\"></i>{Html.Text(stage)}")
                .Append("</figcaption><div class=\"charts\">")
                .Append(Speeds(stage, lines));
            foreach (var prefix in new[] { Round, Step })
                foreach (var figure in lines.Where(line => line.Name.Contains(prefix, StringComparison.Ordinal)).GroupBy(line => line.Name))
                    html.Append(Chart(stage, figure.Key, [.. figure.Select(line => ((double)line.Step, line.Value))]));
            html.Append("</div></figure>");
        }
        return html.ToString();
    }

    // Tokens a second of sampling and of training, which a stage's own figure mixes.
    private static string Speeds(string stage, List<MetricLine> lines)
    {
        string Of(string name, Func<MetricLine, bool> which) => Chart(stage, name,
        [
            .. lines.Where(line => which(line) && line.TokensPerSecond is not null)
                .Select(line => ((double)line.Step, line.TokensPerSecond!.Value)),
        ]);
        return Of("sampling, tokens/s", line => line.Name.Contains(Round, StringComparison.Ordinal))
            + Of("training, tokens/s", line => line.Name == MetricLine.Loss);
    }

    private static string Chart(string stage, string name, List<(double Step, double Value)> points)
    {
        if (points.Count(point => Figures.Drawable(point.Value)) < 2) return "";
        var thin = StageSections.Thinned(points);
        return "<div>" + SvgChart.Line($"{name} during {stage}", name, [new ChartSeries("thin", thin)], Height) + "</div>";
    }

    /// <summary>The best and the worst answer of each round, beside each other.</summary>
    public static string Answers(ReportView view)
    {
        var html = new StringBuilder();
        foreach (var (stage, rounds) in view.Report.Rounds ?? new Dictionary<string, IReadOnlyList<RoundAnswers>>())
        {
            foreach (var round in rounds)
            {
                html.Append($"<h3><i class=\"dot {view.Colour(stage)}\"></i>{Html.Text(stage)}, round {round.Round}</h3>")
                    .Append("<div class=\"samples\">").Append(Answer("best", round.Best)).Append(Answer("worst", round.Worst))
                    .Append("</div>");
            }
        }
        return html.ToString();
    }

    private static string Answer(string which, RatedAnswer answer)
    {
        var said = string.Join(", ", answer.Rewards.Select(pair => $"{Html.Text(pair.Key)} {Figures.Short(pair.Value ?? double.NaN)}"));
        var text = answer.Answer.Trim();
        var quote = text.Length == 0
            ? "<p class=\"none\">an empty answer</p>"
            : $"<blockquote{Html.Language(text)}>{Html.Text(text)}</blockquote>";
        return $"<article><h3>{which}: {Figures.Short(answer.Score ?? double.NaN)} <small>{said}</small></h3>"
            + $"<p class=\"prompt\"{Html.Language(answer.Prompt)}>{Html.Text(answer.Prompt)}</p>"
            + quote + "</article>";
    }
}
