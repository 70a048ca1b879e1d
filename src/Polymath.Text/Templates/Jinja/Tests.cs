using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Jinja's tests.</summary>
internal static class Tests
{
    /// <summary>The tests by name.</summary>
    public static Routines All { get; } = Make();

    /// <summary>Whether a test holds.</summary>
    public static bool Holds(Machine machine, string name, object value, Arguments arguments)
    {
        machine.Meter.Work();
        return All.TryGetValue(name, out var test)
            ? Machine.Truth(test.Run(machine, $"the test '{name}'", value, arguments))
            : throw new JinjaFault($"there is no test named '{name}'");
    }

    private static Routines Make()
    {
        var tests = new Routines
        {
            { "boolean", "", (_, value, _) => value is bool },
            { "callable", "", (_, value, _) => value is Callable or Undefined or ObjectValue { Call: not null } },
            { "defined", "", (_, value, _) => value is not Undefined },
            {
                "divisibleby", "num",
                (_, value, a) => Numbers.Is(Machine.Defined(value)) && Numbers.Is(a[0]!)
                    ? Numbers.Compare(Numbers.Apply("%", value, a[0]!), BigInteger.Zero) == 0
                    : throw new JinjaFault("divisibleby needs numbers")
            },
            { "escaped", "", (_, _, _) => false },
            { "even", "", (_, value, _) => Modulo2(value) == 0 },
            { "false", "", (_, value, _) => value is false },
            { "filter", "", (_, value, _) => value is string name && Filters.All.ContainsKey(name) },
            { "float", "", (_, value, _) => value is double },
            { "in", "seq", (machine, value, a) => machine.Contains(a[0]!, value) },
            { "integer", "", (_, value, _) => value is BigInteger },
            { "iterable", "", (_, value, _) => Machine.ItemsOf(value) is not null || value is ObjectValue { Name: "LoopContext" } },
            { "lower", "", (machine, value, _) => TextMethods.IsLower(machine.Text(value)) },
            { "mapping", "", (_, value, _) => value is DictValue },
            { "none", "", (_, value, _) => value is None },
            { "number", "", (_, value, _) => Numbers.Is(value) },
            { "odd", "", (_, value, _) => Modulo2(value) == 1 },
            {
                "sameas", "other",
                (_, value, a) => ReferenceEquals(value, a[0])
                    || (value.GetType() == a[0]!.GetType() && value is bool or string or BigInteger && value.Equals(a[0]))
            },
            { "sequence", "", (_, value, _) => value is string or Sequence or DictValue or RangeValue or Undefined },
            { "string", "", (_, value, _) => value is string },
            { "test", "", (_, value, _) => value is string name && All.ContainsKey(name) },
            { "true", "", (_, value, _) => value is true },
            { "undefined", "", (_, value, _) => value is Undefined },
            { "upper", "", (machine, value, _) => TextMethods.IsUpper(machine.Text(value)) },
        };
        string[][] comparisons =
            [["==", "eq", "equalto"], ["!=", "ne"], ["<", "lt", "lessthan"], ["<=", "le"], [">", "gt", "greaterthan"], [">=", "ge"]];
        foreach (var names in comparisons)
        {
            foreach (var name in names) tests.Add(name, "other", (machine, value, a) => machine.Holds(names[0], value, a[0]!));
        }
        return tests;
    }

    private static double Modulo2(object value) =>
        Numbers.Is(Machine.Defined(value))
            ? Numbers.Real(Numbers.Apply("%", value, new BigInteger(2)))
            : throw new JinjaFault($"a '{Types.NameOf(value)}' is neither even nor odd");
}
