using System.Globalization;
using System.Numerics;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The operations of values: conversion to text, iteration, length and calls. It counts its own work.</summary>
/// <param name="meter">Counts the work.</param>
/// <param name="clock">Gives the time, for <c>strftime_now</c>.</param>
internal sealed partial class Machine(Meter meter, TimeProvider clock)
{
    /// <summary>Counts the work.</summary>
    public Meter Meter { get; } = meter;

    /// <summary>Gives the time.</summary>
    public TimeProvider Clock { get; } = clock;

    /// <summary>Whether a value counts as true.</summary>
    public static bool Truth(object value) => value switch
    {
        None or Undefined => false,
        bool flag => flag,
        BigInteger whole => !whole.IsZero,
        double real => real != 0,
        string text => text.Length > 0,
        Markup marked => marked.Text.Length > 0,
        Sequence list => list.Items.Count > 0,
        DictValue dict => dict.Keys.Count > 0,
        ViewValue view => view.Items.Count > 0,
        RangeValue range => range.Count > 0,
        _ => true,
    };

    /// <summary>A value as text.</summary>
    public string Text(object value)
    {
        if (Markup.Bare(value) is string text)
            return text;
        if (value is Undefined)
            return "";
        var builder = new StringBuilder();
        Repr(value, builder);
        return Meter.Made(builder.ToString());
    }

    /// <summary>A value in Python's form inside a list.</summary>
    public string Repr(object value)
    {
        var builder = new StringBuilder();
        Repr(value, builder);
        return Meter.Made(builder.ToString());
    }

    private void Repr(object value, StringBuilder to)
    {
        Meter.Stack();
        Meter.Limit(to.Length);
        Meter.Work();
        switch (value)
        {
            case string text:
                to.Append(PythonText.Quoted(text));
                break;
            case Markup marked:
                to.Append("Markup(").Append(PythonText.Quoted(marked.Text)).Append(')');
                break;
            case None:
                to.Append("None");
                break;
            case bool flag:
                to.Append(flag ? "True" : "False");
                break;
            case BigInteger whole:
                to.Append(whole.ToString(CultureInfo.InvariantCulture));
                break;
            case double real:
                to.Append(Numbers.Text(real));
                break;
            case ListValue list:
                ReprAll(list.Items, "[", "]", to);
                break;
            case TupleValue tuple:
                ReprAll(tuple.Items, "(", tuple.Items.Count == 1 ? ",)" : ")", to);
                break;
            case ViewValue view:
                ReprAll(view.Items, view.Name + "([", "])", to);
                break;
            case DictValue dict:
                ReprEntries(dict.Entries, to);
                break;
            case NamespaceValue space:
                to.Append("<Namespace ");
                ReprEntries(space.Variables.Select(pair => KeyValuePair.Create<object, object>(pair.Key, pair.Value)), to);
                to.Append('>');
                break;
            case RangeValue range:
                to.Append(CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop}{(range.Step.IsOne ? "" : $", {range.Step}")})");
                break;
            case Undefined:
                to.Append("Undefined");
                break;
            default:
                to.Append('<').Append(Types.NameOf(value)).Append('>');
                break;
        }
    }

    private void ReprAll(IReadOnlyList<object> items, string begin, string end, StringBuilder to)
    {
        to.Append(begin);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0)
                to.Append(", ");
            Repr(items[i], to);
        }
        to.Append(end);
    }

    private void ReprEntries(IEnumerable<KeyValuePair<object, object>> entries, StringBuilder to)
    {
        to.Append('{');
        var first = true;
        foreach (var (key, value) in entries)
        {
            if (!first)
                to.Append(", ");
            first = false;
            Repr(key, to);
            to.Append(": ");
            Repr(value, to);
        }
        to.Append('}');
    }

    /// <summary>The items of a value, counted during the iteration.</summary>
    /// <exception cref="JinjaFault">The value has none.</exception>
    public IEnumerable<object> Iterate(object value)
    {
        var items = ItemsOf(value)
            ?? throw (value is ObjectValue ? new JinjaFault($"a '{Types.NameOf(value)}' object cannot be iterated in Polymath")
                : new JinjaFault($"'{Types.NameOf(value)}' object is not iterable"));
        return Counted(items);
    }

    private IEnumerable<object> Counted(IEnumerable<object> items)
    {
        foreach (var item in items)
        {
            Meter.Work();
            yield return item;
        }
    }

    /// <summary>The items of a value; null when it has none.</summary>
    public static IEnumerable<object>? ItemsOf(object value) => value switch
    {
        string text => PythonText.Points(text),
        Markup marked => PythonText.Points(marked.Text),
        Sequence list => list.Items,
        DictValue dict => dict.Keys,
        ViewValue view => view.Items,
        RangeValue range => Enumerable.Range(0, range.Count).Select(place => range[place]),
        StreamValue stream => stream.Rest(),
        Undefined => [],
        _ => null,
    };

    /// <summary>The number of items; null when the value has no length.</summary>
    public static int? LengthOf(object value) => value switch
    {
        string text => PythonText.Length(text),
        Markup marked => PythonText.Length(marked.Text),
        Sequence list => list.Items.Count,
        DictValue dict => dict.Keys.Count,
        ViewValue view => view.Items.Count,
        RangeValue range => range.Count,
        Undefined => 0,
        _ => null,
    };

    /// <summary>Calls a value.</summary>
    public object Call(object target, Arguments arguments)
    {
        Meter.Work();
        return target switch
        {
            Undefined missing => throw missing.Fault(),
            Callable routine => routine.Body(this, arguments),
            ObjectValue { Call: { } body } => body(this, arguments),
            _ => throw new JinjaFault($"'{Types.NameOf(target)}' object is not callable"),
        };
    }

    /// <summary>Refuses an undefined value.</summary>
    public static object Defined(object value) => value is Undefined missing ? throw missing.Fault() : value;

    /// <summary>A whole number that fits into an array's length.</summary>
    public static int Count(object? value, int standard, string what)
    {
        if (value is null)
            return standard;
        var whole = Numbers.Whole(Defined(value)) ?? throw new JinjaFault($"{what} must be a whole number, found {Types.NameOf(value)}");
        return (int)BigInteger.Max(int.MinValue + 1, BigInteger.Min(int.MaxValue, whole));
    }
}
