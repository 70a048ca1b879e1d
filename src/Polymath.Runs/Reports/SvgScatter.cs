using System.Globalization;

namespace Polymath.Runs.Reports;

/// <summary>A dot with its spread.</summary>
/// <param name="Name">Its label.</param>
/// <param name="X">Its horizontal value.</param>
/// <param name="Y">Its vertical value.</param>
/// <param name="Low">The low end of its spread.</param>
/// <param name="High">The high end of its spread.</param>
/// <param name="Colour">The class of its colour.</param>
internal sealed record ScatterDot(
    string Name,
    double X,
    double Y,
    double Low,
    double High,
    string Colour);

/// <summary>A scatter chart: dots with their spreads over two quantities.</summary>
internal static partial class SvgChart
{
    /// <summary>Draws the dots. The horizontal axis is logarithmic when its values differ much.</summary>
    /// <param name="title">A description of the chart for screen readers.</param>
    /// <param name="up">The quantity of the vertical axis.</param>
    /// <param name="across">The quantity of the horizontal axis.</param>
    /// <param name="dots">The dots.</param>
    /// <param name="reference">The name and height of a dashed line, such as the value before training; null for none.</param>
    public static string Scatter(
        string title,
        string up,
        string across,
        IReadOnlyList<ScatterDot> dots,
        (string Name, double Value)? reference)
    {
        const int Height = 270, Bottom = Height - 40;
        var drawn = dots.Where(dot => Figures.Drawable(dot.X) && Figures.Drawable(dot.Y)).ToList();
        var heights = drawn.SelectMany(dot => new[] { dot.Low, dot.High })
            .Concat(reference is { } line && Figures.Drawable(line.Value) ? [line.Value] : []).ToList();
        var least = drawn.Count == 0 ? 0 : drawn.Min(dot => dot.X);
        var x = least > 0 && drawn.Max(dot => dot.X) / least > 10
            ? Axis.Logarithmic(drawn.Select(dot => dot.X), Left, LineWidth - Right)
            : Axis.Linear(drawn.Select(dot => dot.X), Left, LineWidth - Right);
        var y = Axis.Linear(heights, Bottom, Top);
        var svg = Open(title, up, LineWidth, Height);
        Grid(svg, y, LineWidth - Right);
        foreach (var tick in x.Ticks)
            Label(
                svg,
                x.At(tick),
                Bottom + 15,
                x.Text(tick),
                "middle");
        Label(
            svg,
            LineWidth - Right,
            Height - 6,
            across,
            "end");
        if (reference is { } start && Figures.Drawable(start.Value))
        {
            var at = Html.Place(y.At(start.Value));
            svg.Append(
                CultureInfo.InvariantCulture, $"<line class=\"reference\" x1=\"{Left}\" x2=\"{LineWidth - Right}\" y1=\"{at}\" "
                    + $"y2=\"{at}\"><title>{Html.Text(start.Name)}: {Figures.Short(start.Value)}</title></line>");
        }
        foreach (var dot in drawn)
        {
            string place = Html.Place(x.At(dot.X)), middle = Html.Place(y.At(dot.Y));
            svg
                .Append($"<g class=\"{dot.Colour}\"><path class=\"thin\" d=\"M{place} {Html.Place(y.At(dot.Low))}L{place} "
                    + $"{Html.Place(y.At(dot.High))}\"/>")
                .Append($"<circle class=\"dots\" r=\"4.5\" cx=\"{place}\" cy=\"{middle}\"><title>{Html.Text(dot.Name)}: "
                    + $"{Figures.Short(dot.Y)}</title></circle></g>");
        }
        // Names are drawn last, so that no dot hides one.
        Names(svg, [.. drawn.Select(dot => (dot.Name, x.At(dot.X), y.At(dot.Y)))], Bottom);
        if (drawn.Count == 0)
            Label(
                svg,
                (Left + LineWidth - Right) / 2.0,
                (Top + Bottom) / 2.0,
                "nothing to draw",
                "middle");
        return svg.Append("</svg>").ToString();
    }

    // A name is placed above or below its dot, to the right or the left, where it covers no dot, no other name and no figure of the axis. A
    // name without such a place is shown only in the tooltip.
    private static void Names(System.Text.StringBuilder svg, IReadOnlyList<(string Name, double X, double Y)> dots, double bottom)
    {
        const double Letter = 6.2, Line = 11, Aside = 6, Radius = 4.5;
        var taken = dots.Select(dot => (Left: dot.X - Radius, Right: dot.X + Radius, Top: dot.Y - Radius, Bottom: dot.Y + Radius)).ToList();
        foreach (var (whole, x, y) in dots)
        {
            var name = whole.Length > 22 ? whole[..21] + "…" : whole;
            var width = name.Length * Letter;
            foreach (var (side, foot) in new[] { (1, y - Aside), (-1, y - Aside), (1, y + Aside + Line), (-1, y + Aside + Line) })
            {
                var start = x + side * Aside;
                var box = (
                    Left: side > 0 ? start : start - width,
                    Right: side > 0 ? start + width : start,
                    Top: foot - Line + 2,
                    Bottom: foot + 1);
                if (box.Left < Left || box.Right > LineWidth || box.Top < 0 || box.Bottom > bottom
                    || taken.Exists(
                        other => other.Left < box.Right && box.Left < other.Right && other.Top < box.Bottom && box.Top < other.Bottom))
                    continue;
                taken.Add(box);
                Label(
                    svg,
                    start,
                    foot,
                    name,
                    side > 0 ? "start" : "end",
                    "name");
                break;
            }
        }
    }
}
