using System.Diagnostics.CodeAnalysis;
using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's None. Values are these: None, bool, BigInteger, double, string, and the types of this file.</summary>
internal sealed class None
{
    /// <summary>The only instance.</summary>
    public static readonly None Value = new();

    private None()
    {
    }
}

/// <summary>The value of a missing name or member: empty text, false, no items; any other use is a fault.</summary>
/// <param name="problem">What is missing.</param>
internal sealed class Undefined(string problem)
{
    /// <summary>The fault of using it.</summary>
    public JinjaFault Fault() => new(problem);
}

/// <summary>A list or a tuple.</summary>
/// <param name="items">The items.</param>
internal abstract class Sequence(IReadOnlyList<object> items)
{
    /// <summary>The items.</summary>
    public IReadOnlyList<object> Items { get; } = items;
}

/// <summary>A list.</summary>
internal sealed class ListValue(IReadOnlyList<object> items) : Sequence(items);

/// <summary>A tuple; a group of <c>groupby</c> also has names.</summary>
internal sealed class TupleValue(IReadOnlyList<object> items, params string[] names) : Sequence(items)
{
    /// <summary>The names of the items, if they have any.</summary>
    public IReadOnlyList<string> Names { get; } = names;
}

/// <summary>A dictionary in insertion order.</summary>
internal sealed class DictValue
{
    private readonly Dictionary<object, object> values = new(KeyComparer.Instance);
    private readonly List<object> keys = [];

    /// <summary>The keys, in order.</summary>
    public IReadOnlyList<object> Keys => keys;

    /// <summary>The values, in the keys' order.</summary>
    public IEnumerable<object> Values => keys.Select(key => values[key]);

    /// <summary>The entries, in order.</summary>
    public IEnumerable<KeyValuePair<object, object>> Entries => keys.Select(key => KeyValuePair.Create(key, values[key]));

    /// <summary>Finds a value.</summary>
    public bool TryGet(object key, [MaybeNullWhen(false)] out object value) => values.TryGetValue(key, out value);

    /// <summary>Sets a value during the creation of the dictionary.</summary>
    public void Put(object key, object value)
    {
        KeyComparer.Check(key);
        if (!values.ContainsKey(key))
            keys.Add(key);
        values[key] = value;
    }
}

/// <summary>Keys by Python's equality: 1, 1.0 and True are one key.</summary>
internal sealed class KeyComparer : IEqualityComparer<object>
{
    private const int DeepestTuple = 3;

    /// <summary>The only instance.</summary>
    public static readonly KeyComparer Instance = new();

    /// <summary>Refuses a value that cannot be a key.</summary>
    public static void Check(object key, int depth = 0)
    {
        if (key is ListValue or DictValue)
            throw new JinjaFault($"a {Types.NameOf(key)} cannot be a key");
        if (key is not TupleValue tuple)
            return;
        if (depth >= DeepestTuple)
            throw new JinjaFault("a key is nested too deep");
        foreach (var item in tuple.Items) Check(item, depth + 1);
    }

    /// <inheritdoc/>
    public new bool Equals(object? x, object? y) => (x, y) switch
    {
        (string a, string b) => a == b,
        (TupleValue a, TupleValue b) => a.Items.Count == b.Items.Count && a.Items.Zip(b.Items).All(pair => Equals(pair.First, pair.Second)),
        (Undefined, Undefined) => true,
        _ => Numbers.Is(x!) && Numbers.Is(y!) ? Numbers.Compare(x!, y!) == 0 : ReferenceEquals(x, y),
    };

    /// <inheritdoc/>
    public int GetHashCode(object obj) => obj switch
    {
        string text => string.GetHashCode(text, StringComparison.Ordinal),
        TupleValue tuple => tuple.Items.Aggregate(17, (hash, item) => HashCode.Combine(hash, GetHashCode(item))),
        Undefined => 1,
        _ when Numbers.Is(obj) => Numbers.Real(obj).GetHashCode(),
        _ => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(obj),
    };
}

/// <summary>The result of <c>namespace()</c>: variables that can be set from inside a loop.</summary>
internal sealed class NamespaceValue
{
    /// <summary>The variables.</summary>
    public Dictionary<string, object> Variables { get; } = new(StringComparer.Ordinal);
}

/// <summary>Items that can be read only once, like a Python generator's.</summary>
/// <param name="items">The items.</param>
/// <param name="name">Python's name of such an object.</param>
internal sealed class StreamValue(IEnumerable<object> items, string name = "generator")
{
    private readonly IEnumerator<object> rest = items.GetEnumerator();

    /// <summary>Python's name of such an object.</summary>
    public string Name { get; } = name;

    /// <summary>The remaining items.</summary>
    public IEnumerable<object> Rest()
    {
        while (rest.MoveNext()) yield return rest.Current;
    }
}

/// <summary>The keys, values or items of a dictionary.</summary>
/// <param name="name">Python's name of such an object.</param>
/// <param name="items">Its items.</param>
internal sealed class ViewValue(string name, IReadOnlyList<object> items)
{
    /// <summary>Python's name of such an object.</summary>
    public string Name { get; } = name;

    /// <summary>Its items.</summary>
    public IReadOnlyList<object> Items { get; } = items;
}

/// <summary>A range of whole numbers.</summary>
/// <param name="Start">The first.</param>
/// <param name="Stop">The end, which is not included.</param>
/// <param name="Step">The step.</param>
internal sealed record RangeValue(BigInteger Start, BigInteger Stop, BigInteger Step)
{
    /// <summary>The number of numbers.</summary>
    public int Count { get; } = (int)BigInteger.Max(
        0, Step.Sign > 0 ? (Stop - Start + Step - 1) / Step : (Start - Stop - Step - 1) / -Step);

    /// <summary>The number at a place.</summary>
    public object this[int place] => Start + Step * place;
}

/// <summary>Something that can be called: a function, a method of a value, a macro.</summary>
/// <param name="Name">Its name in messages.</param>
/// <param name="Body">The function of its arguments.</param>
internal sealed record Callable(string Name, Func<Machine, Arguments, object> Body);

/// <summary>An object with members: a loop, a cycler.</summary>
/// <param name="Name">Python's name of its type.</param>
/// <param name="Find">Finds a member; null when there is none.</param>
/// <param name="Call">The function of a call; null when it cannot be called.</param>
internal sealed record ObjectValue(string Name, Func<string, object?> Find, Func<Machine, Arguments, object>? Call = null);

/// <summary>A slice's three parts.</summary>
internal sealed record SliceValue(object First, object Last, object Step);

/// <summary>Python's names of types, for messages.</summary>
internal static class Types
{
    /// <summary>The name of a value's type.</summary>
    public static string NameOf(object value) => value switch
    {
        None => "NoneType",
        bool => "bool",
        BigInteger => "int",
        double => "float",
        string => "str",
        Markup => "Markup",
        ListValue => "list",
        TupleValue => "tuple",
        DictValue => "dict",
        NamespaceValue => "Namespace",
        StreamValue stream => stream.Name,
        ViewValue view => view.Name,
        RangeValue => "range",
        Undefined => "Undefined",
        ObjectValue item => item.Name,
        _ => "function",
    };
}
