using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The methods of Python's lists, tuples, dictionaries and numbers that do not change them.</summary>
internal static class ListMethods
{
    /// <summary>The methods of lists that a template may not use, since they change the list.</summary>
    public static HashSet<string> Changing { get; } = ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"];

    /// <summary>The methods of dictionaries that a template may not use.</summary>
    public static HashSet<string> ChangingDictionaries { get; } = ["clear", "pop", "popitem", "setdefault", "update"];

    /// <summary>The methods of lists and tuples.</summary>
    public static Routines OfSequences { get; } = new()
    {
        { "copy", "", (_, value, _) => value },
        { "count", "value", (machine, value, a) => new BigInteger(machine.Iterate(value).Count(item => machine.Equal(item, a[0]!))) },
        { "index", "value", (machine, value, a) => machine.Iterate(value).Index()
            .Where(entry => machine.Equal(entry.Item, a[0]!)).Select(entry => (object)new BigInteger(entry.Index)).FirstOrDefault()
            ?? throw new JinjaFault("the value that index() looks for is not in the list") },
    };

    /// <summary>The methods of dictionaries.</summary>
    public static Routines OfDictionaries { get; } = new()
    {
        { "copy", "", (_, value, _) => value },
        { "get", "key default?", (_, value, a) => Get((DictValue)value, a[0]!) ?? a[1] ?? None.Value },
        { "items", "", (machine, value, _) => Items(machine, (DictValue)value) },
        { "keys", "", (_, value, _) => new ViewValue("dict_keys", ((DictValue)value).Keys) },
        { "values", "", (machine, value, _) => new ViewValue("dict_values", [.. Counted(machine, (DictValue)value).Values]) },
    };

    /// <summary>The methods of numbers.</summary>
    public static Routines OfNumbers { get; } = new()
    {
        { "bit_length", "", (_, value, _) => new BigInteger((long)BigInteger
            .Abs(Numbers.Whole(value) ?? throw new JinjaFault("a real number has no bits to count"))
            .GetBitLength()) },
        { "is_integer", "", (_, value, _) => value is not double real || (double.IsFinite(real) && real == Math.Floor(real)) },
    };

    private static ViewValue Items(Machine machine, DictValue dict) =>
        new("dict_items", [.. Counted(machine, dict).Entries.Select(entry => new TupleValue([entry.Key, entry.Value]))]);

    private static DictValue Counted(Machine machine, DictValue dict)
    {
        machine.Meter.Work(dict.Keys.Count);
        return dict;
    }

    private static object? Get(DictValue dict, object key)
    {
        KeyComparer.Check(key);
        return dict.TryGet(key, out var value) ? value : null;
    }
}
