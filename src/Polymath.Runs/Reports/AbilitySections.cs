using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>The parts of the page about the model's abilities.</summary>
internal static class AbilitySections
{
    /// <summary>One card for each ability: its last value, its first value, and the baselines.</summary>
    public static string Cards(ReportView view)
    {
        var html = new StringBuilder();
        foreach (var ability in view.Abilities)
        {
            var values = view.Values(ability).Where(double.IsFinite).ToList();
            if (values.Count == 0) continue;
            html.Append($"<article class=\"card\"><h3>{Html.Text(ability)}</h3><p class=\"big\">{Figures.Short(values[^1])}</p>");
            if (values.Count > 1)
                html.Append($"<p>{Change(view, ability, values[0], values[^1])} from {Figures.Short(values[0])}</p>");
            foreach (var (name, value) in view.BaselinesOf(ability))
            {
                var (form, words) = view.Compare(ability, value, values[^1]) switch
                {
                    > 0 => ("good", "beats"),
                    < 0 => ("bad", "behind"),
                    _ => ("", "beside"),
                };
                html.Append($"<p><span class=\"{form}\">{words}</span> {Html.Text(name)}, {Figures.Short(value)}</p>");
            }
            html.Append("</article>");
        }
        return html.Length == 0 ? "<p class=\"none\">No abilities were measured.</p>" : $"<div class=\"cards\">{html}</div>";
    }

    /// <summary>One chart for each ability, with a bar for each stage and a dashed line for each baseline.</summary>
    public static string Bars(ReportView view)
    {
        if (view.Abilities.Count == 0) return "";
        var html = new StringBuilder("<div class=\"charts\">");
        foreach (var ability in view.Abilities)
        {
            var bars = view.Report.Abilities
                .Zip(view.Values(ability), (row, value) => new ChartBar(Label(view, row.After), value, view.Colour(row.After)))
                .ToList();
            var baselines = view.BaselinesOf(ability);
            html.Append($"<figure><figcaption>{Html.Text(ability)}{Direction(view, ability)}</figcaption>")
                .Append(SvgChart.Bars($"{ability} after each stage", bars, baselines))
                .AppendJoin("", baselines.Select(
                    line => $"<p class=\"key\"><i></i>{Html.Text(line.Name)}, {Figures.Short(line.Value)}</p>"))
                .Append("</figure>");
        }
        return html.Append("</div>").ToString();
    }

    /// <summary>The abilities after each stage, each with its change from the row before, and the baselines below them.</summary>
    public static string Table(ReportView view)
    {
        if (view.Abilities.Count == 0) return "";
        var html = new StringBuilder("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">after</th>");
        foreach (var ability in view.Abilities) html.Append($"<th scope=\"col\">{Html.Text(ability)}{Direction(view, ability)}</th>");
        html.Append("</tr></thead><tbody>");
        var last = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var row in view.Report.Abilities)
        {
            html.Append($"<tr><th scope=\"row\"><i class=\"dot {view.Colour(row.After)}\"></i>{Html.Text(Label(view, row.After))}</th>");
            foreach (var ability in view.Abilities)
            {
                var value = row.Values.GetValueOrDefault(ability, double.NaN);
                var change = double.IsFinite(value) && last.TryGetValue(ability, out var before)
                    ? Change(view, ability, before, value)
                    : "";
                html.Append($"<td>{Figures.Short(value)}<small>{change}</small></td>");
                // Stages after a delta that is kept apart start from the model without it.
                if (double.IsFinite(value) && !Apart(view, row.After)) last[ability] = value;
            }
            html.Append("</tr>");
        }
        return html.Append("</tbody>").Append(BaselineRows(view))
            .Append("</table></div>").Append(Others(view)).Append(Notes(view)).ToString();
    }

    private static bool Apart(ReportView view, string after) => view.Report.Stages.Any(stage => stage.Unmerged && stage.Name == after);

    private static string Label(ReportView view, string after) => Apart(view, after) ? after + " *" : after;

    private static string Notes(ReportView view) => string.Concat(view.Report.Stages.Where(stage => stage.Unmerged).Select(stage =>
        $"<p class=\"note\">* with the delta of {Html.Text(stage.Name)}, which is kept apart: later stages start from the model without "
            + $"it. To use it: {Html.Text(stage.Use())}</p>"));

    private static string BaselineRows(ReportView view)
    {
        var columns = view.Abilities.Select(view.BaselinesOf).ToList();
        var html = new StringBuilder("<tfoot>");
        foreach (var name in columns.SelectMany(lines => lines).Select(line => line.Name).Distinct(StringComparer.Ordinal))
        {
            html.Append($"<tr><th scope=\"row\"><i class=\"dash\"></i>{Html.Text(name)}</th>");
            foreach (var lines in columns)
                html.Append(
                    $"<td>{lines.Where(line => line.Name == name).Select(line => Figures.Short(line.Value)).FirstOrDefault("")}</td>");
            html.Append("</tr>");
        }
        return html.Append("</tfoot>").ToString();
    }

    private static string Others(ReportView view)
    {
        var others = view.OtherBaselines();
        var words = string.Join("; ", others.Select(line => $"{Html.Text(line.Name)} {Figures.Short(line.Value)}"));
        return others.Count == 0 ? "" : $"<p class=\"note\">For comparison: {words}.</p>";
    }

    private static string Direction(ReportView view, string ability) =>
        view.Compare(ability, 0, 1) switch { > 0 => "<small>higher is better</small>", < 0 => "<small>lower is better</small>", _ => "" };

    private static string Change(ReportView view, string ability, double before, double now)
    {
        if (Figures.Short(before) == Figures.Short(now)) return "<span title=\"unchanged\">=</span>";
        var (form, title) =
            view.Compare(ability, before, now) switch { > 0 => ("good", "better"), < 0 => ("bad", "worse"), _ => ("", "changed") };
        return $"<span class=\"{form}\" title=\"{title}\">{(now > before ? "▲" : "▼")} {Figures.Short(Math.Abs(now - before))}</span>";
    }
}
