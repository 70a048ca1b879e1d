using System.Globalization;
using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Numbers in the forms of Python's formats.</summary>
internal static class NumberText
{
    private const int MostDigits = 1000;

    /// <summary>A whole number in the base of its format.</summary>
    public static string Whole(BigInteger value, char kind, bool prefixed, int digits)
    {
        var size = BigInteger.Abs(value);
        var (basis, prefix) = kind switch { 'x' => (16, "0x"), 'X' => (16, "0X"), 'o' => (8, "0o"), 'b' => (2, "0b"), _ => (10, "") };
        var text = basis == 10 ? size.ToString(CultureInfo.InvariantCulture) : "";
        for (; basis != 10 && !size.IsZero; size /= basis) text = "0123456789abcdef"[(int)(size % basis)] + text;
        text = (text.Length == 0 ? "0" : text).PadLeft(Math.Min(digits, MostDigits), '0');
        return (value.Sign < 0 ? "-" : "") + (prefixed ? prefix : "") + (kind == 'X' ? text.ToUpperInvariant() : text);
    }

    /// <summary>A real number in the form of its format.</summary>
    public static string Real(double value, char kind, int digits)
    {
        digits = Math.Min(digits, MostDigits);
        if (!double.IsFinite(value))
            return char.IsUpper(kind) ? Numbers.Text(value).ToUpperInvariant() : Numbers.Text(value);
        var text = char.ToLowerInvariant(kind) switch
        {
            'e' => Exponent(value, digits),
            'f' => Numbers.Fixed(value, digits),
            _ => General(value, Math.Max(1, digits)),
        };
        return char.IsUpper(kind) ? text.ToUpperInvariant() : text;
    }

    private static string Exponent(double value, int digits)
    {
        var text = value.ToString("e" + digits, CultureInfo.InvariantCulture);
        var (mantissa, power) = (text.Split('e')[0], int.Parse(text.Split('e')[1], CultureInfo.InvariantCulture));
        return $"{mantissa}e{(power < 0 ? '-' : '+')}{Math.Abs(power):00}";
    }

    private static string General(double value, int digits)
    {
        var scientific = Exponent(value, digits - 1);
        var power = int.Parse(scientific.Split('e')[1], CultureInfo.InvariantCulture);
        if (power < -4 || power >= digits)
            return Trimmed(scientific.Split('e')[0]) + "e" + scientific.Split('e')[1];
        return Trimmed(Numbers.Fixed(value, digits - 1 - power));
    }

    private static string Trimmed(string text) => text.Contains('.', StringComparison.Ordinal) ? text.TrimEnd('0').TrimEnd('.') : text;
}
