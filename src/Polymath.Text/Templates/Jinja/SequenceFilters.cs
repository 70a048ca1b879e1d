using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Filters on lists and other values with items.</summary>
internal static class SequenceFilters
{
    /// <summary>The filters by name.</summary>
    public static Routines All { get; } = new()
    {
        { "batch", "linecount fill_with?", (machine, value, a) => new StreamValue(Batch(machine, value, a)) },
        { "count", "", Length },
        { "dictsort", "case_sensitive? by? reverse?", DictSort },
        {
            "first", "",
            (machine, value, _) => machine.Iterate(value).FirstOrDefault() ?? new Undefined("there is no first item: the sequence is empty")
        },
        { "groupby", "attribute default? case_sensitive?", GroupBy },
        { "items", "", (machine, value, _) => new StreamValue(Items(machine, value)) },
        { "join", "d? attribute?", Join },
        { "last", "", (machine, value, _) => Reversed(machine, value)
            .FirstOrDefault() ?? new Undefined("there is no last item: the sequence is empty") },
        { "length", "", Length },
        { "list", "", (machine, value, _) => new ListValue([.. machine.Iterate(value)]) },
        { "map", "*", (machine, value, a) => new StreamValue(Map(machine, value, (Arguments)a[0]!)) },
        { "max", "case_sensitive? attribute?", (machine, value, a) => Extreme(machine, value, a, 1) },
        { "min", "case_sensitive? attribute?", (machine, value, a) => Extreme(machine, value, a, -1) },
        { "reject", "*", (machine, value, a) => Choose(
            machine,
            value,
            (Arguments)a[0]!,
            byMember: false,
            keep: false) },
        { "rejectattr", "*", (machine, value, a) => Choose(
            machine,
            value,
            (Arguments)a[0]!,
            byMember: true,
            keep: false) },
        { "reverse", "", Reverse },
        { "select", "*", (machine, value, a) => Choose(
            machine,
            value,
            (Arguments)a[0]!,
            byMember: false,
            keep: true) },
        { "selectattr", "*", (machine, value, a) => Choose(
            machine,
            value,
            (Arguments)a[0]!,
            byMember: true,
            keep: true) },
        { "slice", "slices fill_with?", (machine, value, a) => new StreamValue(SliceInto(machine, value, a)) },
        { "sort", "reverse? case_sensitive? attribute?", Sort },
        { "sum", "attribute? start?", (machine, value, a) => machine.Iterate(value).Select(Getter(machine, a[0]))
            .Aggregate(a[1] ?? BigInteger.Zero, (sum, item) => machine.Apply("+", sum, item)) },
        { "unique", "case_sensitive? attribute?", (machine, value, a) => new StreamValue(Unique(machine, value, a)) },
    };

    private static bool Flag(object? value) => value is not null && Machine.Truth(value);

    private static object Length(Machine machine, object value, object?[] a) =>
        new BigInteger(Machine.LengthOf(value) ?? throw new JinjaFault($"a '{Types.NameOf(value)}' has no length"));

    /// <summary>A function that finds a value in an item by names separated by dots; null returns the item itself.</summary>
    private static Func<object, object> Getter(Machine machine, object? attribute, object? standard = null, bool ignoreCase = false)
    {
        List<object> parts = attribute switch
        {
            null or None => [],
            string path => [.. path.Split('.')
                .Select(part =>
                    part.Length > 0 && part.All(char.IsAsciiDigit) ? (object)BigInteger.Parse(part[..Math.Min(part.Length, 20)]) : part)],
            var place => [place],
        };
        return item =>
        {
            foreach (var part in parts)
            {
                item = machine.Element(item, part);
                if (standard is not (null or None) && item is Undefined)
                    item = standard;
            }
            return ignoreCase && item is string text ? PythonText.Lower(text) : item;
        };
    }

    private static IEnumerable<object> Batch(Machine machine, object value, object?[] a)
    {
        var size = Machine.Count(a[0], 1, "linecount");
        var line = new List<object>();
        foreach (var item in machine.Iterate(value))
        {
            if (line.Count == size)
            {
                yield return new ListValue(line);
                line = [];
            }
            line.Add(item);
        }
        if (line.Count == 0)
            yield break;
        while (a[1] is not (null or None) && line.Count < size)
        {
            machine.Meter.Work();
            line.Add(a[1]!);
        }
        yield return new ListValue(line);
    }

    private static IEnumerable<object> SliceInto(Machine machine, object value, object?[] a)
    {
        var items = machine.Iterate(value).ToList();
        var count = Machine.Count(a[0], 1, "slices");
        if (count == 0)
            throw new JinjaFault("division by zero");
        var (each, more) = (items.Count / Math.Max(1, count), items.Count % Math.Max(1, count));
        for (int number = 0, at = 0; number < count; number++)
        {
            machine.Meter.Work();
            var size = each + (number < more ? 1 : 0);
            List<object> slice = [.. items.Skip(at).Take(size)];
            at += size;
            if (a[1] is not (null or None) && number >= more)
                slice.Add(a[1]!);
            yield return new ListValue(slice);
        }
    }

    private static object DictSort(Machine machine, object value, object?[] a)
    {
        var dict = Machine.Defined(value) as DictValue ?? throw new JinjaFault("dictsort needs a dictionary");
        if (a[1] is not (null or "key" or "value"))
            throw new JinjaFault("dictsort sorts by 'key' or 'value'");
        var pairs = dict.Entries.Select(entry => (object)new TupleValue([entry.Key, entry.Value]));
        return Sorted(machine, pairs, Getter(machine, new BigInteger(a[1] is "value" ? 1 : 0), null, !Flag(a[0])), Flag(a[2]));
    }

    private static ListValue Sorted(Machine machine, IEnumerable<object> items, Func<object, object> key, bool reverse)
    {
        var keyed = items.Select(item => (Item: item, Key: key(item))).ToList();
        var comparer = Comparer<object>.Create((x, y) => machine.Order(x, y) ?? 0);
        // An exception from a comparison is wrapped.
        try
        {
            var sorted = reverse
                ? keyed.AsEnumerable().Reverse().OrderBy(pair => pair.Key, comparer).Reverse()
                : keyed.OrderBy(pair => pair.Key, comparer);
            return new ListValue([.. sorted.Select(pair => pair.Item)]);
        }
        catch (InvalidOperationException e) when (e.InnerException is JinjaFault fault)
        {
            throw fault;
        }
    }

    private static object Sort(Machine machine, object value, object?[] a)
    {
        var names = a[2] is string path && path.Contains(',', StringComparison.Ordinal)
            ? path.Split(',').Select(part => (object)part).ToList()
            : [a[2] ?? None.Value];
        var getters = names.ConvertAll(name => Getter(machine, name, null, !Flag(a[1])));
        return Sorted(
            machine,
            machine.Iterate(value),
            getters.Count == 1 ? getters[0] : item => new ListValue(getters.ConvertAll(getter => getter(item))),
            Flag(a[0]));
    }

    private static object GroupBy(Machine machine, object value, object?[] a)
    {
        var key = Getter(machine, a[0], a[1], !Flag(a[2]));
        var shown = Getter(machine, a[0], a[1]);
        var groups = new List<(object Key, List<object> Items)>();
        foreach (var item in Sorted(machine, machine.Iterate(value), key, false).Items)
        {
            var own = key(item);
            if (groups.Count == 0 || !machine.Equal(groups[^1].Key, own))
                groups.Add((own, []));
            groups[^1].Items.Add(item);
        }
        return new ListValue(
            [.. groups.Select(group => new TupleValue([shown(group.Items[0]), new ListValue(group.Items)], "grouper", "list"))]);
    }

    private static IEnumerable<object> Items(Machine machine, object value)
    {
        if (value is Undefined)
            return [];
        return value is DictValue dict
            ? dict.Entries.Select(entry => new TupleValue([entry.Key, entry.Value]))
            : throw new JinjaFault("items needs a dictionary");
    }

    private static object Join(Machine machine, object value, object?[] a)
    {
        var texts = machine.Iterate(value).Select(Getter(machine, a[1])).Select(item => (object)machine.Text(item));
        return TextMethods.Join(machine, a[0] is null ? "" : machine.Text(a[0]!), texts);
    }

    private static IEnumerable<object> Map(Machine machine, object value, Arguments arguments)
    {
        Func<object, object> change;
        if (arguments.Positional.Count == 0 && arguments.Named.TryGetValue("attribute", out var attribute))
        {
            if (arguments.Named.Keys.Except(["attribute", "default"]).FirstOrDefault() is { } surplus)
                throw new JinjaFault($"the filter 'map' has no argument '{surplus}'");
            change = Getter(machine, attribute, arguments.Named.GetValueOrDefault("default"));
        }
        else
        {
            var name = (arguments.Positional.Count > 0 ? arguments.Positional[0] as string : null)
                ?? throw new JinjaFault("the filter 'map' needs the name of a filter, or attribute=NAME");
            var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Named);
            change = item => Filters.Apply(machine, name, item, rest);
        }
        return Some(machine, value).Select(change);
    }

    // For these filters, every false value (none, zero) has no items.
    private static IEnumerable<object> Some(Machine machine, object value) => Machine.Truth(value) ? machine.Iterate(value) : [];

    private static StreamValue Choose(
        Machine machine,
        object value,
        Arguments arguments,
        bool byMember,
        bool keep)
    {
        var rest = arguments.Positional;
        if (byMember && rest.Count == 0)
            throw new JinjaFault("the name of an attribute is needed");
        var find = byMember ? Getter(machine, rest[0]) : item => item;
        rest = byMember ? [.. rest.Skip(1)] : rest;
        if (rest.Count == 0)
            return new StreamValue(Some(machine, value).Where(item => Machine.Truth(find(item)) == keep));
        var name = rest[0] as string ?? throw new JinjaFault("a test is named by a text");
        var others = new Arguments([.. rest.Skip(1)], arguments.Named);
        return new StreamValue(Some(machine, value).Where(item => Tests.Holds(machine, name, find(item), others) == keep));
    }

    private static object Extreme(Machine machine, object value, object?[] a, int sign)
    {
        var key = Getter(machine, a[1], null, !Flag(a[0]));
        object? best = null, bestKey = null;
        foreach (var item in machine.Iterate(value))
        {
            var own = key(item);
            if (best is null || machine.Order(own, bestKey!) * sign > 0)
                (best, bestKey) = (item, own);
        }
        return best ?? new Undefined("there is no such item: the sequence is empty");
    }

    private static List<object> Reversed(Machine machine, object value)
    {
        if (Machine.LengthOf(value) is null)
            throw new JinjaFault($"'{Types.NameOf(value)}' object is not reversible");
        var items = machine.Iterate(value).ToList();
        items.Reverse();
        return items;
    }

    private static object Reverse(Machine machine, object value, object?[] a)
    {
        var items = machine.Iterate(value).ToList();
        items.Reverse();
        return value is string ? string.Concat(items) : new StreamValue(items, "list_reverseiterator");
    }

    private static IEnumerable<object> Unique(Machine machine, object value, object?[] a)
    {
        var key = Getter(machine, a[1], null, !Flag(a[0]));
        var seen = new DictValue();
        foreach (var item in machine.Iterate(value))
        {
            var own = key(item);
            KeyComparer.Check(own);
            if (seen.TryGet(own, out _))
                continue;
            seen.Put(own, own);
            yield return item;
        }
    }
}
