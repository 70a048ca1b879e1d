using System.Globalization;
using System.Numerics;
using System.Text.RegularExpressions;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Reads numbers from text as Python's <c>int</c> and <c>float</c> do.</summary>
internal static partial class PythonNumbers
{
    /// <summary>The whole number in a text; null when there is none.</summary>
    public static object? Whole(string text, int basis)
    {
        var match = WholeForm().Match(PythonText.TrimEnd(PythonText.TrimStart(text)));
        if (!match.Success || match.Length > Numbers.MostDigits)
            return null;
        var digits = match.Groups["digits"].Value.Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();
        foreach (var (prefix, own) in new[] { ("0x", 16), ("0o", 8), ("0b", 2) })
        {
            if (digits.StartsWith(prefix, StringComparison.Ordinal) && (basis == own || basis == 0))
                (digits, basis) = (digits[2..], own);
        }
        basis = basis == 0 ? 10 : basis;
        var sum = BigInteger.Zero;
        foreach (var digit in digits)
        {
            var worth = char.IsAsciiDigit(digit) ? digit - '0' : digit - 'a' + 10;
            if (worth >= basis)
                return null;
            sum = sum * basis + worth;
        }
        if (digits.Length == 0)
            return null;
        return match.Groups["sign"].Value == "-" ? -sum : sum;
    }

    /// <summary>A whole number in a template, in base 10, 2, 8 or 16.</summary>
    public static BigInteger Written(string text)
    {
        var digits = text.Replace("_", "", StringComparison.Ordinal);
        if (digits.Length > Numbers.MostDigits)
            throw new JinjaFault("a number has too many digits");
        var basis = digits.Length > 1 ? char.ToLowerInvariant(digits[1]) switch { 'b' => 2, 'o' => 8, 'x' => 16, _ => 10 } : 10;
        return basis == 10
            ? BigInteger.Parse(digits, CultureInfo.InvariantCulture)
            : digits[2..].Aggregate(BigInteger.Zero, (sum, digit) => sum * basis + Convert.ToInt32(digit.ToString(), 16));
    }

    /// <summary>The real number in a text; null when there is none.</summary>
    public static object? Real(string text)
    {
        var bare = PythonText.TrimEnd(PythonText.TrimStart(text)).ToLowerInvariant();
        var unsigned = bare.TrimStart('+', '-');
        if (bare.Length - unsigned.Length <= 1 && unsigned is "inf" or "infinity" or "nan")
        {
            if (unsigned == "nan")
                return double.NaN;
            return bare[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
        }
        return RealForm().IsMatch(bare)
            ? double.Parse(bare.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture)
            : null;
    }

    [GeneratedRegex(@"\A(?<sign>[-+]?)(?<digits>[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)\z")]
    private static partial Regex WholeForm();

    [GeneratedRegex(@"\A[-+]?(?:[0-9]+(?:_[0-9]+)*(?:\.(?:[0-9]+(?:_[0-9]+)*)?)?|\.[0-9]+(?:_[0-9]+)*)(?:e[-+]?[0-9]+)?\z")]
    private static partial Regex RealForm();
}
