using System.Numerics;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The members and elements of values. Only the listed members exist; objects of .NET cannot be reached.</summary>
internal sealed partial class Machine
{
    /// <summary><c>target.name</c>: a method of the value, or the entry of that name.</summary>
    public object Attribute(object target, string name)
    {
        Meter.Work();
        if (target is Undefined missing)
            throw missing.Fault();
        if (OwnMember(target, name) is { } own)
            return own;
        return target is DictValue dict && dict.TryGet(name, out var value) ? value : Missing(target, name);
    }

    /// <summary><c>target[index]</c>: the item there, or the method of that name.</summary>
    public object Element(object target, object index)
    {
        Meter.Work();
        if (target is Undefined missing)
            throw missing.Fault();
        if (ElementOrNull(target, index) is { } found)
            return found;
        if (index is string name)
            return OwnMember(target, name) ?? Missing(target, name);
        return new Undefined($"'{Types.NameOf(target)}' object has no element {(index is Undefined ? "Undefined" : Repr(index))}");
    }

    private static Undefined Missing(object target, string name)
    {
        if (name.StartsWith("__", StringComparison.Ordinal))
            throw new JinjaFault(
                $"the attribute '{name}' of '{Types.NameOf(target)}' is not safe, so it is refused",
                "Remove it: a chat template needs no such attribute");
        return new Undefined($"'{Types.NameOf(target)}' object has no attribute '{name}'");
    }

    /// <summary>A method or property of a value's type; null when it has none.</summary>
    public static object? OwnMember(object target, string name)
    {
        var methods = target switch
        {
            string => TextMethods.All,
            ListValue or TupleValue => ListMethods.OfSequences,
            DictValue => ListMethods.OfDictionaries,
            BigInteger or bool or double => ListMethods.OfNumbers,
            _ => null,
        };
        if (methods is not null && methods.TryGetValue(name, out var routine))
            return new Callable(name, (machine, arguments) => routine.Run(machine, name + "()", target, arguments));
        return target switch
        {
            TupleValue tuple when tuple.Names.ToList().IndexOf(name) is >= 0 and var place => tuple.Items[place],
            ListValue when ListMethods.Changing.Contains(name) => Unsafe(target, name),
            DictValue when ListMethods.ChangingDictionaries.Contains(name) => Unsafe(target, name),
            NamespaceValue space => space.Variables.GetValueOrDefault(name),
            ObjectValue item => item.Find(name),
            _ => null,
        };
    }

    private static Undefined Unsafe(object target, string name) =>
        new($"'{name}' would change a {Types.NameOf(target)}, which a template may not; make a new value with + or a filter");

    private object? ElementOrNull(object target, object index)
    {
        switch (target)
        {
            case DictValue dict when index is not SliceValue:
                return index is not (ListValue or DictValue) && dict.TryGet(index, out var value) ? value : null;
            case string text when index is SliceValue slice:
                Meter.Text(text.Length);
                return PythonText.IsPlain(text) && slice.Step is None
                    ? Plain(text, slice)
                    : string.Concat(Cut(PythonText.Points(text), slice));
            case ListValue list when index is SliceValue slice:
                return new ListValue(Cut(list.Items, slice));
            case TupleValue tuple when index is SliceValue slice:
                return new TupleValue(Cut(tuple.Items, slice));
            case RangeValue range when index is SliceValue slice:
                return new ListValue(Cut([.. ItemsOf(range)!], slice));
            case string or Sequence or RangeValue when Numbers.Whole(index) is { } at:
                var length = LengthOf(target)!.Value;
                if (at < 0)
                    at += length;
                if (at < 0 || at >= length)
                    return null;
                return target switch
                {
                    string text => PythonText.IsPlain(text) ? text[(int)at].ToString() : PythonText.Points(text)[(int)at],
                    Sequence list => list.Items[(int)at],
                    _ => ((RangeValue)target)[(int)at],
                };
            default:
                return index is SliceValue ? throw new JinjaFault($"'{Types.NameOf(target)}' cannot be cut with [:]") : null;
        }
    }

    private static string Plain(string text, SliceValue slice)
    {
        var (start, stop, _) = Bounds(slice, text.Length);
        return start < stop ? text[start..stop] : "";
    }

    private List<T> Cut<T>(IReadOnlyList<T> items, SliceValue slice)
    {
        var (start, stop, step) = Bounds(slice, items.Count);
        var cut = new List<T>();
        for (long i = start; step > 0 ? i < stop : i > stop; i += step)
        {
            Meter.Work();
            cut.Add(items[(int)i]);
        }
        return cut;
    }

    private static (int Start, int Stop, int Step) Bounds(SliceValue slice, int length)
    {
        var step = slice.Step is None ? 1 : Count(slice.Step, 1, "a slice's step");
        if (step == 0)
            throw new JinjaFault("a slice's step cannot be zero");
        int Bound(object value, int standard)
        {
            if (value is None)
                return standard;
            long at = Count(value, 0, "a slice's bound");
            if (at < 0)
                at += length;
            return (int)Math.Clamp(at, step > 0 ? 0 : -1, step > 0 ? length : length - 1);
        }
        return (Bound(slice.First, step > 0 ? 0 : length - 1), Bound(slice.Last, step > 0 ? length : -1), step);
    }
}
