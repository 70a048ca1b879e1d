using System.Globalization;

namespace Polymath.Runs.Reports;

/// <summary>Formats numbers for people.</summary>
public static class Figures
{
    /// <summary>The sign for a missing value or one that is not a number.</summary>
    public const string Missing = "\u2013";

    /// <summary>Whether a number can be placed on a chart.</summary>
    public static bool Drawable(double value) => double.IsFinite(value) && Math.Abs(value) < 1e15;

    /// <summary>About three digits: 0.873, 4.12, 61.5, 512, 12,345.</summary>
    public static string Short(double value) => Math.Abs(value) switch
    {
        _ when !double.IsFinite(value) => Missing,
        0 => "0",
        < 0.001 or >= 1e9 => value.ToString("0.0e+0", CultureInfo.InvariantCulture),
        < 1 => value.ToString("0.000", CultureInfo.InvariantCulture),
        < 10 => value.ToString("0.00", CultureInfo.InvariantCulture),
        < 100 => value.ToString("0.0", CultureInfo.InvariantCulture),
        _ => value.ToString("#,0", CultureInfo.InvariantCulture),
    };

    /// <summary>A count with separators.</summary>
    public static string Count(long value) => value.ToString("#,0", CultureInfo.InvariantCulture);

    /// <summary>A count in thousands or millions: 4.85 M.</summary>
    public static string Large(long value) => value switch
    {
        >= 1_000_000_000 => $"{Short(value / 1e9)} G",
        >= 1_000_000 => $"{Short(value / 1e6)} M",
        >= 10_000 => $"{Short(value / 1e3)} k",
        _ => Count(value),
    };

    /// <summary>A share in percent, with enough digits to distinguish it from 0% and 100%.</summary>
    public static string Percent(double share) => (share * 100) switch
    {
        var percent when !double.IsFinite(percent) => Missing,
        0 => "0%",
        < 0.01 => "<0.01%",
        < 1 => $"{share * 100:0.00}%",
        < 10 => $"{share * 100:0.0}%",
        _ => $"{share * 100:#,0}%",
    };

    /// <summary>Seconds as a time: 4.2 s, 3 min 5 s, 2 h 10 min.</summary>
    public static string Time(double seconds)
    {
        if (!double.IsFinite(seconds) || seconds < 0 || seconds > 1e9) return Missing;
        var whole = (long)Math.Round(seconds);
        return whole switch
        {
            < 10 => $"{seconds:0.0} s",
            < 60 => $"{whole} s",
            < 3600 => $"{whole / 60} min {whole % 60} s",
            _ => $"{whole / 3600} h {whole % 3600 / 60} min",
        };
    }

    /// <summary>Megabytes as memory: 812 MB, 3.40 GB.</summary>
    public static string Memory(double megabytes) =>
        megabytes >= 1000 ? $"{Short(megabytes / 1000)} GB" : $"{Short(Math.Round(megabytes))} MB";
}
