using System.Globalization;
using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's arithmetic on whole numbers, reals and booleans.</summary>
internal static class Numbers
{
    /// <summary>The most digits a whole number may have: Python's own limit for turning one into text.</summary>
    public const int MostDigits = 4300;

    private const int MostBits = 14_000;

    /// <summary>Whether a value is a number.</summary>
    public static bool Is(object value) => value is BigInteger or double or bool;

    /// <summary>A value as a whole number; null for others.</summary>
    public static BigInteger? Whole(object? value) => value switch
    {
        BigInteger whole => whole,
        bool flag => flag ? BigInteger.One : BigInteger.Zero,
        _ => null,
    };

    /// <summary>A number as a real one.</summary>
    public static double Real(object value) => value is double real ? real : (double)Whole(value)!.Value;

    /// <summary>Compares two numbers exactly; null when one is NaN.</summary>
    public static int? Compare(object left, object right)
    {
        if (Whole(left) is { } a && Whole(right) is { } b)
            return a.CompareTo(b);
        double x = Real(left), y = Real(right);
        if (double.IsNaN(x) || double.IsNaN(y))
            return null;
        if (double.IsInfinity(x) || double.IsInfinity(y) || (left is double && right is double))
            return x.CompareTo(y);
        // A whole number is compared with the real one's own whole part, so that no digit is lost.
        if (Whole(left) is { } whole)
        {
            var order = whole.CompareTo(new BigInteger(Math.Floor(y)));
            if (order == 0 && y > Math.Floor(y))
                return -1;
            return order;
        }
        return -Compare(right, left);
    }

    /// <summary>The outcome of an operation.</summary>
    public static object Apply(string sign, object left, object right)
    {
        if (Whole(left) is { } a && Whole(right) is { } b && sign != "/")
            return ApplyWhole(sign, a, b);
        double x = Real(left), y = Real(right);
        if (sign is "/" or "//" or "%" && y == 0)
            throw new JinjaFault("division by zero");
        if (sign == "**" && x == 0 && y < 0)
            throw new JinjaFault("0 cannot be raised to a negative power");
        if (sign == "**" && x < 0 && y != Math.Floor(y))
            throw new JinjaFault("a negative number cannot be raised to a power that is not whole");
        var outcome = sign switch
        {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => x / y,
            "//" => Floor(x, y),
            "%" => Modulo(x, y),
            _ => Math.Pow(x, y),
        };
        if (sign == "**" && double.IsInfinity(outcome) && double.IsFinite(x) && double.IsFinite(y))
            throw new JinjaFault("the result of ** is too large");
        return outcome;
    }

    private static object ApplyWhole(string sign, BigInteger a, BigInteger b)
    {
        if (sign is "//" or "%" && b.IsZero)
            throw new JinjaFault("division by zero");
        return sign switch
        {
            "+" => Checked(a + b),
            "-" => Checked(a - b),
            "*" => Checked(a * b),
            "//" => FloorDivision(a, b),
            "%" => a - FloorDivision(a, b) * b,
            _ => Power(a, b),
        };
    }

    private static BigInteger Checked(BigInteger value) =>
        value.GetBitLength() <= MostBits ? value : throw new JinjaFault($"a whole number has more than {MostDigits} digits");

    private static BigInteger FloorDivision(BigInteger a, BigInteger b)
    {
        var quotient = BigInteger.DivRem(a, b, out var rest);
        return !rest.IsZero && rest.Sign != b.Sign ? quotient - 1 : quotient;
    }

    private static object Power(BigInteger a, BigInteger b)
    {
        if (b.Sign < 0)
            return Apply("**", (double)a, (double)b);
        if (BigInteger.Abs(a) <= 1)
            return b.IsZero || a.Sign < 0 && b.IsEven ? BigInteger.One : a;
        return b * a.GetBitLength() <= 2 * MostBits
            ? Checked(BigInteger.Pow(a, (int)b))
            : throw new JinjaFault($"a whole number has more than {MostDigits} digits");
    }

    private static double Modulo(double x, double y)
    {
        var rest = x % y;
        if (rest != 0)
            return (rest < 0) != (y < 0) ? rest + y : rest;
        return Math.CopySign(0, y);
    }

    private static double Floor(double x, double y)
    {
        var quotient = (x - Modulo(x, y)) / y;
        var floor = Math.Floor(quotient);
        return quotient - floor > 0.5 ? floor + 1 : floor;
    }

    /// <summary>
    /// A real number in Python's form: the shortest digits that give the same number, with an exponent below 1e-4 and from 1e16 on.
    /// </summary>
    public static string Text(double value)
    {
        if (double.IsNaN(value))
            return "nan";
        if (double.IsInfinity(value))
            return value > 0 ? "inf" : "-inf";
        if (value == 0)
            return double.IsNegative(value) ? "-0.0" : "0.0";
        var shortest = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture).Split('E');
        var point = shortest[0].Split('.')[0];
        var all = shortest[0].Replace(".", "", StringComparison.Ordinal);
        var digits = all.TrimStart('0').TrimEnd('0');
        var exponent = point.Length - 1 - (all.Length - all.TrimStart('0').Length)
            + (shortest.Length > 1 ? int.Parse(shortest[1], CultureInfo.InvariantCulture) : 0);
        var sign = value < 0 ? "-" : "";
        if (exponent is < -4 or >= 16)
            return $"{sign}{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        if (exponent < 0)
            return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        return digits.Length <= exponent + 1
            ? $"{sign}{digits.PadRight(exponent + 1, '0')}.0"
            : $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    /// <summary>A real number with a number of decimal places, rounded exactly, halves to even.</summary>
    public static string Fixed(double value, int digits)
    {
        var bits = BitConverter.DoubleToInt64Bits(Math.Abs(value));
        var exponent = (int)(bits >> 52);
        BigInteger numerator = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        var shift = Math.Max(exponent, 1) - 1075;
        numerator *= BigInteger.Pow(10, Math.Max(0, digits));
        var denominator = BigInteger.Pow(10, Math.Max(0, -digits));
        if (shift > 0)
            numerator <<= shift;
        else
            denominator <<= -shift;
        var whole = BigInteger.DivRem(numerator, denominator, out var rest);
        var order = (2 * rest).CompareTo(denominator);
        if (order > 0 || (order == 0 && !whole.IsEven))
            whole++;
        var text = (whole * BigInteger.Pow(10, Math.Max(0, -digits)))
            .ToString(CultureInfo.InvariantCulture).PadLeft(Math.Max(0, digits) + 1, '0');
        var sign = double.IsNegative(value) ? "-" : "";
        return digits <= 0 ? sign + text : $"{sign}{text[..^digits]}.{text[^digits..]}";
    }
}
