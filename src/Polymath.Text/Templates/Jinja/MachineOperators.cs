using System.Numerics;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>The operations between values.</summary>
internal sealed partial class Machine
{
    /// <summary>The outcome of an arithmetic operation.</summary>
    public object Apply(string sign, object left, object right)
    {
        if (left is Undefined || right is Undefined)
        {
            // A text on the left side formats the value on the right side.
            if (!(sign == "%" && left is string))
                throw ((left as Undefined) ?? (Undefined)right).Fault();
        }
        if (sign == "+" && (left is Markup || right is Markup) && Markup.Sum(this, left, right) is { } sum)
            return sum;
        (left, right) = (Markup.Bare(left), Markup.Bare(right));
        if (Numbers.Is(left) && Numbers.Is(right))
        {
            Meter.Work(1);
            return Numbers.Apply(sign, left, right);
        }
        switch (sign)
        {
            case "+" when left is string a && right is string b:
                Meter.Text((long)a.Length + b.Length);
                return a + b;
            case "+" when left is ListValue a && right is ListValue b:
                return new ListValue(Joined(a, b));
            case "+" when left is TupleValue a && right is TupleValue b:
                return new TupleValue(Joined(a, b));
            case "*" when Numbers.Whole(right) is { } times && left is string or Sequence:
                return Repeated(left, times);
            case "*" when Numbers.Whole(left) is { } times && right is string or Sequence:
                return Repeated(right, times);
            case "%" when left is string format:
                return PercentFormat.Fill(this, format, right);
            default:
                throw new JinjaFault($"'{sign}' is not possible for '{Types.NameOf(left)}' and '{Types.NameOf(right)}'");
        }
    }

    private List<object> Joined(Sequence a, Sequence b)
    {
        Meter.Work(a.Items.Count + b.Items.Count);
        return [.. a.Items, .. b.Items];
    }

    private object Repeated(object value, BigInteger times)
    {
        var length = value is string text ? text.Length : ((Sequence)value).Items.Count;
        if (times.Sign <= 0 || length == 0)
            return value switch { string => "", ListValue => new ListValue([]), _ => new TupleValue([]) };
        var total = length * times;
        Meter.Text(total > long.MaxValue / 2 ? long.MaxValue / 2 : (long)total);
        if (value is string piece)
            return new StringBuilder(piece.Length * (int)times).Insert(0, piece, (int)times).ToString();
        Meter.Work((long)total);
        var items = Enumerable.Repeat(((Sequence)value).Items, (int)times).SelectMany(item => item).ToList();
        return value is ListValue ? new ListValue(items) : new TupleValue(items);
    }

    /// <summary>Whether two values are equal.</summary>
    public bool Equal(object left, object right)
    {
        (left, right) = (Markup.Bare(left), Markup.Bare(right));
        Meter.Work();
        Meter.Stack();
        switch (left, right)
        {
            case (string a, string b):
                Meter.Text(Math.Min(a.Length, b.Length));
                return a == b;
            case (ListValue a, ListValue b):
                return EqualItems(a.Items, b.Items);
            case (TupleValue a, TupleValue b):
                return EqualItems(a.Items, b.Items);
            case (DictValue a, DictValue b):
                return a.Keys.Count == b.Keys.Count
                    && a.Entries.All(entry => b.TryGet(entry.Key, out var other) && Equal(entry.Value, other));
            case (Undefined, Undefined):
                return true;
            case (RangeValue a, RangeValue b):
                return a.Count == b.Count && (a.Count == 0 || (a.Start == b.Start && (a.Count == 1 || a.Step == b.Step)));
            default:
                return Numbers.Is(left) && Numbers.Is(right) ? Numbers.Compare(left, right) == 0 : ReferenceEquals(left, right);
        }
    }

    private bool EqualItems(IReadOnlyList<object> a, IReadOnlyList<object> b)
    {
        if (a.Count != b.Count)
            return false;
        for (var i = 0; i < a.Count; i++)
        {
            if (!ReferenceEquals(a[i], b[i]) && !Equal(a[i], b[i]))
                return false;
        }
        return true;
    }

    /// <summary>Which of two values is smaller; null when neither is (NaN).</summary>
    /// <exception cref="JinjaFault">They have no order.</exception>
    public int? Order(object left, object right)
    {
        (left, right) = (Markup.Bare(left), Markup.Bare(right));
        Meter.Work();
        Meter.Stack();
        if (left is Undefined || right is Undefined)
            throw ((left as Undefined) ?? (Undefined)right).Fault();
        if (Numbers.Is(left) && Numbers.Is(right))
            return Numbers.Compare(left, right);
        if (left is string x && right is string y)
        {
            Meter.Text(Math.Min(x.Length, y.Length));
            return OrderTexts(x, y);
        }
        if (left is not Sequence a || right is not Sequence b || a.GetType() != b.GetType())
            throw new JinjaFault($"'{Types.NameOf(left)}' and '{Types.NameOf(right)}' have no order");
        for (var i = 0; i < Math.Min(a.Items.Count, b.Items.Count); i++)
        {
            if (!Equal(a.Items[i], b.Items[i]))
                return Order(a.Items[i], b.Items[i]);
        }
        return a.Items.Count.CompareTo(b.Items.Count);
    }

    // By code points: a surrogate pair comes after every other character.
    private static int OrderTexts(string x, string y)
    {
        for (var i = 0; i < Math.Min(x.Length, y.Length); i++)
        {
            if (x[i] == y[i])
                continue;
            var (a, b) = (char.IsSurrogate(x[i]), char.IsSurrogate(y[i]));
            if (a != b)
                return a ? 1 : -1;
            return x[i].CompareTo(y[i]);
        }
        return x.Length.CompareTo(y.Length);
    }

    /// <summary>Whether a comparison holds.</summary>
    public bool Holds(string sign, object left, object right) => sign switch
    {
        "==" => Equal(left, right),
        "!=" => !Equal(left, right),
        "in" => Contains(right, left),
        "not in" => !Contains(right, left),
        "<" => Order(left, right) < 0,
        "<=" => Order(left, right) <= 0,
        ">" => Order(left, right) > 0,
        _ => Order(left, right) >= 0,
    };

    /// <summary>Whether a value is among another's items.</summary>
    public bool Contains(object holder, object value)
    {
        (holder, value) = (Markup.Bare(holder), Markup.Bare(value));
        switch (holder)
        {
            case string text:
                if (value is not string piece)
                    throw new JinjaFault($"'in' a text needs a text on its left side, found '{Types.NameOf(value)}'");
                Meter.Text(text.Length);
                return text.Contains(piece, StringComparison.Ordinal);
            case DictValue dict:
                KeyComparer.Check(value);
                return dict.TryGet(value, out _);
            default:
                return Iterate(holder).Any(item => ReferenceEquals(item, value) || Equal(item, value));
        }
    }
}
