using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The names that every template knows.</summary>
internal static class Globals
{
    private const int LongestRange = 100_000;

    private static readonly Dictionary<string, Callable> functions = new Callable[]
    {
        new("range", (_, arguments) => Range(arguments)),
        new("dict", Dict),
        new("namespace", Namespace),
        new("cycler", (_, arguments) => Cycler(arguments)),
        new("joiner", (_, arguments) => Joiner(arguments)),
        new("lipsum", (_, _) => throw new JinjaFault("lipsum() makes random text, which a chat template does not need")),
        new("raise_exception", (machine, arguments) => throw new JinjaFault(
            $"the template refuses the conversation: {machine.Text(arguments.Bind("raise_exception()", "message")[0]!)}",
            "Change the conversation as it asks")),
        new("strftime_now", (machine, arguments) => TimeText.Format(
            machine.Clock.GetLocalNow(), machine.Text(arguments.Bind("strftime_now()", "format")[0]!))),
    }.ToDictionary(function => function.Name, StringComparer.Ordinal);

    // This stands for the template itself, but its blocks cannot be called here.
    private static readonly ObjectValue itself = new("TemplateReference", _ => null);

    /// <summary>Finds a name; null when it is unknown.</summary>
    public static object? Find(string name) => name == "self" ? itself : functions.GetValueOrDefault(name);

    /// <summary>A dictionary of named values.</summary>
    public static DictValue DictOf(IEnumerable<KeyValuePair<string, object>> named)
    {
        var dict = new DictValue();
        foreach (var (name, value) in named) dict.Put(name, value);
        return dict;
    }

    private static RangeValue Range(Arguments arguments)
    {
        var bound = arguments.Bind("range()", "start stop? step?");
        BigInteger Part(object? value) => Numbers.Whole(value is null ? BigInteger.Zero : Machine.Defined(value))
            ?? throw new JinjaFault($"range() takes whole numbers, found {Types.NameOf(value!)}");
        var (start, stop) = bound[1] is null ? (BigInteger.Zero, Part(bound[0])) : (Part(bound[0]), Part(bound[1]));
        var step = bound[2] is null ? BigInteger.One : Part(bound[2]);
        if (step.IsZero)
            throw new JinjaFault("the step of range() cannot be zero");
        if (BigInteger.Abs(stop - start) / BigInteger.Abs(step) > LongestRange && (stop > start) == (step.Sign > 0))
            throw new JinjaFault($"range() makes more than {LongestRange:N0} numbers", "Go through the messages instead");
        return new RangeValue(start, stop, step);
    }

    private static DictValue Dict(Machine machine, Arguments arguments)
    {
        var dict = new DictValue();
        if (arguments.Positional.Count > 1)
            throw new JinjaFault("dict() takes one argument and named ones");
        foreach (var first in arguments.Positional)
        {
            if (first is DictValue other)
                foreach (var (key, value) in other.Entries) dict.Put(key, value);
            else
            {
                foreach (var item in machine.Iterate(Machine.Defined(first)))
                {
                    var pair = machine.Iterate(item).Take(3).ToList();
                    if (pair.Count != 2)
                        throw new JinjaFault("dict() takes pairs of a key and a value");
                    dict.Put(pair[0], pair[1]);
                }
            }
        }
        foreach (var (name, value) in arguments.Named) dict.Put(name, value);
        return dict;
    }

    private static NamespaceValue Namespace(Machine machine, Arguments arguments)
    {
        var space = new NamespaceValue();
        foreach (var (key, value) in Dict(machine, arguments).Entries)
            space.Variables[key as string ?? throw new JinjaFault("a namespace's names must be texts")] = value;
        return space;
    }

    private static ObjectValue Cycler(Arguments arguments)
    {
        var items = arguments.Positional;
        if (items.Count == 0)
            throw new JinjaFault("cycler() needs at least one item");
        var at = 0;
        return new ObjectValue("Cycler", name => name switch
        {
            "current" => items[at],
            "next" => new Callable("next", (_, _) =>
            {
                var item = items[at];
                at = (at + 1) % items.Count;
                return item;
            }),
            "reset" => new Callable("reset", (_, _) =>
            {
                at = 0;
                return None.Value;
            }),
            _ => null,
        });
    }

    private static ObjectValue Joiner(Arguments arguments)
    {
        var between = arguments.Bind("joiner()", "sep?")[0] ?? ", ";
        var used = false;
        return new ObjectValue("Joiner", name => name == "sep" ? between : null, (_, _) =>
        {
            (var first, used) = (!used, true);
            return first ? "" : between;
        });
    }
}
