using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Jinja's filters.</summary>
internal static class Filters
{
    /// <summary>All filters by name.</summary>
    public static Routines All { get; } = Join(TextFilters.All, SequenceFilters.All, Own());

    /// <summary>Applies a filter to a value.</summary>
    public static object Apply(Machine machine, string name, object value, Arguments arguments)
    {
        machine.Meter.Work();
        if (!All.TryGetValue(name, out var filter))
            throw new JinjaFault($"there is no filter named '{name}'");
        if (Markup.Stays(name, value) && Machine.Truth(value))
            return value;
        var result = filter.Run(machine, $"the filter '{name}'", Markup.Bare(value), arguments);
        return Markup.Marks(name, value) && result is string text ? new Markup(text) : result;
    }

    private static Routines Join(params Routines[] parts)
    {
        var all = new Routines();
        foreach (var (name, routine) in parts.SelectMany(part => part)) all.Add(name, routine);
        return all;
    }

    private static Routines Own() => new()
    {
        { "abs", "", (_, value, _) => Machine.Defined(value) switch
        {
            double real => Math.Abs(real),
            var other => BigInteger.Abs(Numbers.Whole(other) ?? throw new JinjaFault($"there is no abs of '{Types.NameOf(other)}'")),
        } },
        {
            "attr", "name",
            (machine, value, a) => value is Undefined missing
                ? throw missing.Fault()
                : Machine.OwnMember(value, machine.Text(a[0]!)) ?? new Undefined($"there is no attribute '{machine.Text(a[0]!)}'")
        },
        { "d", "default_value? boolean?", Default },
        { "default", "default_value? boolean?", Default },
        { "float", "default?", (_, value, a) => Real(value) ?? a[0] ?? 0.0 },
        { "int", "default? base?", ToWhole },
        { "round", "precision? method?", Round },
        { "safe", "", (machine, value, _) => machine.Text(value) },
        { "string", "", (machine, value, _) => machine.Text(value) },
        { "tojson", "ensure_ascii? indent? separators? sort_keys?", JsonText.Filter },
    };

    private static object Default(Machine machine, object value, object?[] a) =>
        value is Undefined || (a[1] is { } boolean && Machine.Truth(boolean) && !Machine.Truth(value)) ? a[0] ?? "" : value;

    private static object ToWhole(Machine machine, object value, object?[] a)
    {
        var basis = Machine.Count(a[1], 10, "base");
        switch (Machine.Defined(value))
        {
            case string text when PythonNumbers.Whole(text, basis) is { } read:
                return read;
            case BigInteger or bool:
                return Numbers.Whole(value)!.Value;
            default:
                return Real(value) is double real && double.IsFinite(real) ? new BigInteger(Math.Truncate(real)) : a[0] ?? BigInteger.Zero;
        }
    }

    private static object? Real(object value) => Machine.Defined(value) switch
    {
        string text => PythonNumbers.Real(text),
        var number when Numbers.Is(number) => Numbers.Real(number),
        _ => null,
    };

    private static object Round(Machine machine, object value, object?[] a)
    {
        var digits = Machine.Count(a[0], 0, "precision");
        var method = a[1] as string ?? "common";
        if (!Numbers.Is(Machine.Defined(value)) || method is not ("common" or "ceil" or "floor") || Math.Abs((long)digits) > 300)
            throw new JinjaFault($"'{Types.NameOf(value)}' cannot be rounded so: round takes a number, a precision, and common, ceil "
                + "or floor");
        if (method != "common")
        {
            var power = Math.Pow(10, digits);
            var scaled = Numbers.Real(value) * power;
            return (method == "ceil" ? Math.Ceiling(scaled) : Math.Floor(scaled)) / power;
        }
        if (value is double real)
            return double.IsFinite(real)
                ? double.Parse(Numbers.Fixed(real, digits), System.Globalization.CultureInfo.InvariantCulture)
                : real;
        var whole = Numbers.Whole(value)!.Value;
        if (digits >= 0)
            return whole;
        var unit = BigInteger.Pow(10, -digits);
        var floor = (BigInteger)Numbers.Apply("//", whole, unit);
        var order = (2 * (whole - floor * unit)).CompareTo(unit);
        return (order > 0 || (order == 0 && !floor.IsEven) ? floor + 1 : floor) * unit;
    }
}
