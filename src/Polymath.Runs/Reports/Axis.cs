using System.Globalization;

namespace Polymath.Runs.Reports;

/// <summary>One axis of a chart: the places of values on it and the round values at its ticks.</summary>
internal sealed class Axis
{
    private readonly double low, high, from, to;
    private readonly bool logarithmic;

    private Axis(
        double low,
        double high,
        double from,
        double to,
        bool logarithmic,
        IEnumerable<double> ticks)
    {
        (this.low, this.high, this.from, this.to, this.logarithmic) = (low, high, from, to, logarithmic);
        Ticks = [.. ticks];
    }

    /// <summary>The round values, lowest first.</summary>
    public IReadOnlyList<double> Ticks { get; }

    /// <summary>An axis that holds all values, with its ends at round values unless it is tight.</summary>
    /// <param name="values">The values; those that cannot be drawn are skipped.</param>
    /// <param name="from">The place of the low end, in units of the drawing.</param>
    /// <param name="to">The place of the high end.</param>
    /// <param name="zero">Whether the axis begins at zero (or ends there, when all values are below).</param>
    /// <param name="tight">Whether the high end is the largest value, even when it is not round.</param>
    public static Axis Linear(
        IEnumerable<double> values,
        double from,
        double to,
        bool zero = false,
        bool tight = false)
    {
        var drawn = values.Where(Figures.Drawable).ToList();
        if (zero || drawn.Count == 0) drawn.Add(0);
        double low = drawn.Min(), high = drawn.Max();
        // All values are equal: add some space around them, so that the line is in the middle.
        if (high - low <= 1e-9 * Math.Max(Math.Abs(low), Math.Abs(high)))
        {
            var room = Math.Max(Math.Abs(low) * 0.1, high == 0 ? 1 : 1e-9);
            (low, high) = (zero && low == 0 ? 0 : low - room, high + room);
        }
        var step = RoundStep((high - low) / 4);
        double first = Math.Floor(low / step + 1e-9), last = Math.Ceiling(high / step - 1e-9);
        var end = tight ? high : last * step;
        var ticks = Enumerable.Range(0, (int)(last - first) + 1).Select(i => (first + i) * step).Where(tick => tick <= end + 1e-9 * step);
        return new Axis(
            first * step,
            end,
            from,
            to,
            false,
            ticks);
    }

    /// <summary>A logarithmic axis, for values that differ much.</summary>
    /// <param name="values">The values, above zero.</param>
    /// <param name="from">The place of the low end, in units of the drawing.</param>
    /// <param name="to">The place of the high end.</param>
    public static Axis Logarithmic(IEnumerable<double> values, double from, double to)
    {
        var drawn = values.Where(value => Figures.Drawable(value) && value > 0).ToList();
        // The smallest value, too, gets a visible bar.
        int first = (int)Math.Floor(Math.Log10(drawn.Min() / 3)), last = (int)Math.Ceiling(Math.Log10(drawn.Max()) + 1e-9);
        var every = Math.Max(1, (last - first) / 5);
        return new Axis(
            first,
            last,
            from,
            to,
            true,
            Enumerable.Range(0, (last - first) / every + 1).Select(i => Math.Pow(10, first + i * every)));
    }

    /// <summary>The place of a value, in units of the drawing; values beyond an end are placed on it.</summary>
    public double At(double value)
    {
        var place = value;
        if (logarithmic) place = value > 0 ? Math.Log10(value) : low;
        return from + (to - from) * Math.Clamp((place - low) / (high - low), 0, 1);
    }

    /// <summary>The text of a tick: with the digits its neighbours need, large values in thousands or millions.</summary>
    public string Text(double tick)
    {
        // On a logarithmic axis each tick has a unit of its own: 10k, 1M.
        var largest = logarithmic ? tick : Ticks.Max(Math.Abs);
        var (unit, suffix) = largest switch { >= 1e9 => (1e9, "G"), >= 1e6 => (1e6, "M"), >= 1e4 => (1e3, "k"), _ => (1.0, "") };
        if (logarithmic) return tick >= 1e4 ? $"{tick / unit:0.###}{suffix}" : tick.ToString("0.######", CultureInfo.InvariantCulture);
        var step = Ticks.Count > 1 ? (Ticks[1] - Ticks[0]) / unit : 1;
        var digits = Math.Clamp((int)Math.Ceiling(-Math.Log10(step) - 1e-9), 0, 9);
        return tick == 0 ? "0" : (tick / unit).ToString("F" + digits, CultureInfo.InvariantCulture) + suffix;
    }

    /// <summary>The smallest of 1, 2 and 5 times a power of ten that is not below a length.</summary>
    private static double RoundStep(double length)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(length)));
        return (length / power) switch { <= 1 + 1e-9 => power, <= 2 + 1e-9 => 2 * power, <= 5 + 1e-9 => 5 * power, _ => 10 * power };
    }
}
