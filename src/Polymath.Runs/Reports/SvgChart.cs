using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>A line or a set of dots of a chart.</summary>
/// <param name="Form">The style class: <c>thin</c>, <c>bold</c> or <c>dots</c>.</param>
/// <param name="Points">The points, from left to right; one that cannot be drawn leaves a gap.</param>
/// <param name="Titles">The tooltip of each dot.</param>
internal sealed record ChartSeries(string Form, IReadOnlyList<(double X, double Y)> Points, IReadOnlyList<string>? Titles = null);

/// <summary>A bar.</summary>
/// <param name="Label">The text below it.</param>
/// <param name="Value">Its height; a bar that cannot be drawn is replaced by a dash.</param>
/// <param name="Colour">The class of its colour.</param>
internal sealed record ChartBar(string Label, double Value, string Colour);

/// <summary>Charts as inline SVG; colours come from the page's style sheet.</summary>
internal static partial class SvgChart
{
    private const int LineWidth = 420, BarWidth = 340, Left = 46, Right = 12, Top = 22;

    /// <summary>Lines over steps.</summary>
    /// <param name="title">A description of the chart for screen readers.</param>
    /// <param name="unit">The quantity of the vertical axis.</param>
    /// <param name="series">The lines and dots.</param>
    /// <param name="height">The height, in units of the drawing; the width is 420.</param>
    public static string Line(string title, string unit, IReadOnlyList<ChartSeries> series, int height = 230)
    {
        var points = series.SelectMany(line => line.Points).ToList();
        var drawn = points.Where(point => Figures.Drawable(point.X) && Figures.Drawable(point.Y)).ToList();
        var bottom = height - 34;
        var across = Axis.Linear(
            points.Select(point => point.X),
            Left,
            LineWidth - Right,
            zero: true,
            tight: true);
        var up = Axis.Linear(drawn.Select(point => point.Y), bottom, Top);
        var svg = Open(title, unit, LineWidth, height);
        Grid(svg, up, LineWidth - Right);
        foreach (var tick in across.Ticks)
            Label(
                svg,
                across.At(tick),
                bottom + 15,
                across.Text(tick),
                "middle");
        Label(
            svg,
            LineWidth - Right,
            height - 4,
            "step",
            "end");
        foreach (var line in series)
        {
            if (line.Form == "dots") Dots(svg, line, across, up);
            else svg.Append($"<path class=\"{line.Form}\" d=\"{Path(line.Points, across, up)}\"/>");
        }
        if (drawn.Count == 0)
            Label(
                svg,
                (Left + LineWidth - Right) / 2.0,
                (Top + bottom) / 2.0,
                "nothing to draw",
                "middle");
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Bars next to each other, with dashed lines for the values they are compared with.</summary>
    /// <param name="title">A description of the chart for screen readers.</param>
    /// <param name="bars">The bars.</param>
    /// <param name="references">Names and heights of the dashed lines.</param>
    public static string Bars(string title, IReadOnlyList<ChartBar> bars, IReadOnlyList<(string Name, double Value)> references)
    {
        var values = bars.Select(bar => bar.Value).Concat(references.Select(line => line.Value)).Where(Figures.Drawable).ToList();
        var slanted = bars.Count > 5 || bars.Any(bar => bar.Label.Length > 10);
        int height = slanted ? 250 : 220, bottom = height - (slanted ? 58 : 28);
        // Next to a perplexity of thousands at the start, later values would be invisible.
        var logarithmic = values.Count > 0 && values.Min() > 0 && values.Max() > 20 && values.Max() / values.Min() > 20;
        var up = logarithmic ? Axis.Logarithmic(values, bottom, Top) : Axis.Linear(values, bottom, Top, zero: true);
        var svg = Open(title, logarithmic ? "logarithmic scale" : "", BarWidth, height);
        Grid(svg, up, BarWidth - Right);
        var slot = (double)(BarWidth - Right - Left) / Math.Max(1, bars.Count);
        var foot = logarithmic ? bottom : up.At(0);
        for (var i = 0; i < bars.Count; i++)
            Bar(
                svg,
                bars[i],
                Left + (i + 0.5) * slot,
                Math.Min(46, slot * 0.66),
                up,
                foot,
                bottom,
                slanted);
        foreach (var (name, value) in references.Where(line => Figures.Drawable(line.Value)))
        {
            var y = Html.Place(up.At(value));
            svg.Append($"<line class=\"reference\" x1=\"{Left}\" x2=\"{BarWidth - Right}\" y1=\"{y}\" y2=\"{y}\">")
                .Append($"<title>{Html.Text(name)}: {Figures.Short(value)}</title></line>");
        }
        return svg.Append("</svg>").ToString();
    }

    private static StringBuilder Open(string title, string unit, int width, int height)
    {
        var svg = new StringBuilder($"<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{Html.Text(title)}\">");
        if (unit.Length > 0)
            Label(
                svg,
                2,
                11,
                unit,
                "start");
        return svg;
    }

    private static void Grid(StringBuilder svg, Axis up, int end)
    {
        foreach (var tick in up.Ticks)
        {
            var y = Html.Place(up.At(tick));
            svg.Append($"<line class=\"grid\" x1=\"{Left}\" x2=\"{end}\" y1=\"{y}\" y2=\"{y}\"/>");
            Label(
                svg,
                Left - 6,
                up.At(tick) + 4,
                up.Text(tick),
                "end");
        }
    }

    private static void Bar(
        StringBuilder svg,
        ChartBar bar,
        double middle,
        double width,
        Axis up,
        double foot,
        double bottom,
        bool slanted)
    {
        var drawable = Figures.Drawable(bar.Value);
        double end = drawable ? up.At(bar.Value) : foot, top = Math.Min(end, foot);
        if (drawable)
        {
            svg.Append($"<rect class=\"bar {bar.Colour}\" rx=\"2\" x=\"{Html.Place(middle - width / 2)}\" y=\"{Html.Place(top)}\" ")
                .Append($"width=\"{Html.Place(width)}\" height=\"{Html.Place(Math.Max(1, Math.Abs(end - foot)))}\">")
                .Append($"<title>{Html.Text(bar.Label)}: {Figures.Short(bar.Value)}</title></rect>");
        }
        Label(
            svg,
            middle,
            top - 5,
            Figures.Short(bar.Value),
            "middle",
            "value");
        var label = bar.Label.Length > 14 ? bar.Label[..13] + "…" : bar.Label;
        var turn = slanted ? $" transform=\"rotate(-35 {Html.Place(middle)} {Html.Place(bottom + 14)})\"" : "";
        Label(
            svg,
            middle,
            bottom + 16,
            label,
            slanted ? "end" : "middle",
            "name",
            turn);
    }

    private static void Dots(StringBuilder svg, ChartSeries series, Axis across, Axis up)
    {
        for (var i = 0; i < series.Points.Count; i++)
        {
            var (x, y) = series.Points[i];
            if (!Figures.Drawable(x) || !Figures.Drawable(y)) continue;
            svg.Append($"<circle class=\"dots\" r=\"4\" cx=\"{Html.Place(across.At(x))}\" cy=\"{Html.Place(up.At(y))}\">")
                .Append(series.Titles is null ? "" : $"<title>{Html.Text(series.Titles[i])}</title>").Append("</circle>");
        }
    }

    private static string Path(IReadOnlyList<(double X, double Y)> points, Axis across, Axis up)
    {
        var path = new StringBuilder();
        var broken = true;
        foreach (var (x, y) in points)
        {
            var drawable = Figures.Drawable(x) && Figures.Drawable(y);
            // The short stroke with a round cap makes a point between two gaps visible.
            if (drawable) path.Append($"{(broken ? 'M' : 'L')}{Html.Place(across.At(x))} {Html.Place(up.At(y))}{(broken ? "h.1" : "")}");
            broken = !drawable;
        }
        return path.ToString();
    }

    private static void Label(
        StringBuilder svg,
        double x,
        double y,
        string text,
        string anchor,
        string form = "tick",
        string extra = "") =>
            svg.Append($"<text class=\"{form}\" x=\"{Html.Place(x)}\" y=\"{Html.Place(y)}\" "
                + $"text-anchor=\"{anchor}\"{extra}>{Html.Text(text)}</text>");
}
