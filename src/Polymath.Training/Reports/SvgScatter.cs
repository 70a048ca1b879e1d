using System.Globalization;

namespace Polymath.Training.Reports;

/// <summary>A dot with what it varies over.</summary>
/// <param name="Name">What it stands for.</param>
/// <param name="X">Where it lies across.</param>
/// <param name="Y">Where it lies up.</param>
/// <param name="Low">The low end of its spread.</param>
/// <param name="High">The high end of its spread.</param>
/// <param name="Colour">The class of its colour.</param>
internal sealed record ScatterDot(string Name, double X, double Y, double Low, double High, string Colour);

/// <summary>Dots with their spreads over two quantities.</summary>
internal static partial class SvgChart
{
    /// <summary>Draws the dots; an axis across whose values differ much is logarithmic.</summary>
    /// <param name="title">What is shown, for those who cannot see it.</param>
    /// <param name="up">What the vertical axis counts.</param>
    /// <param name="across">What the horizontal axis counts.</param>
    /// <param name="dots">The dots.</param>
    /// <param name="reference">A height for a dashed line, such as what was before; null for none.</param>
    public static string Scatter(string title, string up, string across, IReadOnlyList<ScatterDot> dots, (string Name, double Value)? reference)
    {
        const int Height = 270, Bottom = Height - 40;
        var drawn = dots.Where(dot => Figures.Drawable(dot.X) && Figures.Drawable(dot.Y)).ToList();
        var heights = drawn.SelectMany(dot => new[] { dot.Low, dot.High }).Concat(reference is { } line && Figures.Drawable(line.Value) ? [line.Value] : []).ToList();
        var least = drawn.Count == 0 ? 0 : drawn.Min(dot => dot.X);
        var x = least > 0 && drawn.Max(dot => dot.X) / least > 10 ? Axis.Logarithmic(drawn.Select(dot => dot.X), Left, LineWidth - Right) : Axis.Linear(drawn.Select(dot => dot.X), Left, LineWidth - Right);
        var y = Axis.Linear(heights, Bottom, Top);
        var svg = Open(title, up, LineWidth, Height);
        Grid(svg, y, LineWidth - Right);
        foreach (var tick in x.Ticks) Label(svg, x.At(tick), Bottom + 15, x.Text(tick), "middle");
        Label(svg, LineWidth - Right, Height - 6, across, "end");
        if (reference is { } start && Figures.Drawable(start.Value))
        {
            var at = Html.Place(y.At(start.Value));
            svg.Append(CultureInfo.InvariantCulture, $"<line class=\"reference\" x1=\"{Left}\" x2=\"{LineWidth - Right}\" y1=\"{at}\" y2=\"{at}\"><title>{Html.Text(start.Name)}: {Figures.Short(start.Value)}</title></line>");
        }
        foreach (var dot in drawn)
        {
            string place = Html.Place(x.At(dot.X)), middle = Html.Place(y.At(dot.Y));
            svg.Append($"<g class=\"{dot.Colour}\"><path class=\"thin\" d=\"M{place} {Html.Place(y.At(dot.Low))}L{place} {Html.Place(y.At(dot.High))}\"/>")
                .Append($"<circle class=\"dots\" r=\"4.5\" cx=\"{place}\" cy=\"{middle}\"><title>{Html.Text(dot.Name)}: {Figures.Short(dot.Y)}</title></circle></g>");
        }
        // Names last, so that no dot hides one; a name that would stand on another's is left to the pointer.
        var taken = new List<(double X, double Y)>();
        foreach (var dot in drawn)
        {
            var (left, top) = (x.At(dot.X) > LineWidth * 0.7 ? x.At(dot.X) - 6 : x.At(dot.X) + 6, y.At(dot.Y) - 6);
            if (taken.Exists(other => Math.Abs(other.Y - top) < 11 && Math.Abs(other.X - left) < 90)) continue;
            taken.Add((left, top));
            Label(svg, left, top, dot.Name.Length > 22 ? dot.Name[..21] + "…" : dot.Name, left < x.At(dot.X) ? "end" : "start", "name");
        }
        if (drawn.Count == 0) Label(svg, (Left + LineWidth - Right) / 2.0, (Top + Bottom) / 2.0, "nothing to draw", "middle");
        return svg.Append("</svg>").ToString();
    }
}
