using System.Text;

namespace Polymath.Runs.Reports;

/// <summary>A curve as lines of text: each letter is a braille sign of 2 by 4 dots.</summary>
public static class TextChart
{
    private const int Across = 2, Down = 4, Ticks = 10;

    // The bits of a braille sign, by column and row (Unicode 2800 to 28FF).
    private static readonly int[,] bits = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } };

    /// <summary>Draws points as a curve.</summary>
    /// <param name="points">The points; those that cannot be drawn are left out.</param>
    /// <param name="width">The letters of a line, the numbers at the left not counted.</param>
    /// <param name="height">The lines.</param>
    /// <returns>The lines, with the largest and smallest value at the left and the first and last step below; none without
    /// points.</returns>
    public static IReadOnlyList<string> Draw(IReadOnlyList<(double X, double Y)> points, int width = 60, int height = 8)
    {
        ArgumentNullException.ThrowIfNull(points);
        var drawn = points.Where(point => Figures.Drawable(point.X) && Figures.Drawable(point.Y)).ToList();
        if (drawn.Count == 0)
            return [];
        double left = drawn.Min(point => point.X), right = drawn.Max(point => point.X);
        double low = drawn.Min(point => point.Y), high = drawn.Max(point => point.Y);
        var signs = new int[height, width];
        int columns = width * Across, rows = height * Down;
        // Each column shows the mean of its points, so that a noisy curve stays a line.
        var means = drawn.GroupBy(point => Place(point.X, left, right, columns)).ToDictionary(
            column => column.Key, column => rows - 1 - Place(column.Average(point => point.Y), low, high, rows));
        int? before = null;
        foreach (var (column, row) in means.OrderBy(pair => pair.Key))
        {
            var from = before is { } last && Math.Abs(last - row) > 1 ? last + Math.Sign(row - last) : row;
            for (var at = Math.Min(from, row); at <= Math.Max(from, row); at++)
                signs[at / Down, column / Across] |= bits[column % Across, at % Down];
            before = row;
        }
        return [.. Enumerable.Range(0, height).Select(line => Line(signs, line, Label(line, height, low, high))), Foot(left, right, width)];
    }

    private static int Place(double value, double low, double high, int places) =>
        high > low ? Math.Clamp((int)((value - low) / (high - low) * places), 0, places - 1) : places / 2;

    private static string Label(int line, int height, double low, double high)
    {
        if (line == 0)
            return Figures.Short(high);
        return line == height - 1 ? Figures.Short(low) : "";
    }

    private static string Line(int[,] signs, int line, string label)
    {
        var text = new StringBuilder(label.PadLeft(Ticks)).Append(" │");
        for (var column = 0; column < signs.GetLength(1); column++)
            text.Append(signs[line, column] == 0 ? ' ' : (char)(0x2800 + signs[line, column]));
        return text.ToString().TrimEnd();
    }

    private static string Step(double value) => value == Math.Floor(value) ? Figures.Count((long)value) : Figures.Short(value);

    private static string Foot(double left, double right, int width)
    {
        string first = Step(left), last = Step(right);
        return new string(' ', Ticks) + " └" + first + last.PadLeft(Math.Max(1, width - first.Length)) + "  step";
    }
}
