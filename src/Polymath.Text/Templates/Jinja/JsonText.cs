using System.Globalization;
using System.Numerics;
using System.Text;

namespace Polymath.Text.Templates.Jinja;

/// <summary>Python's <c>json.dumps</c>, as transformers' <c>tojson</c> calls it.</summary>
/// <param name="machine">Counts the work.</param>
/// <param name="ascii">Whether other characters are escaped.</param>
/// <param name="indent">The indentation of a level; null for one line.</param>
/// <param name="itemSeparator">The separator of items.</param>
/// <param name="keySeparator">The separator of a key and its value.</param>
/// <param name="sort">Whether keys are sorted.</param>
internal sealed class JsonText(
    Machine machine,
    bool ascii,
    string? indent,
    string itemSeparator,
    string keySeparator,
    bool sort)
{
    private readonly StringBuilder to = new();

    /// <summary>The filter <c>tojson</c>.</summary>
    public static string Filter(Machine machine, object value, object?[] a)
    {
        var indent = a[1] switch
        {
            null or None => null,
            string text => text,
            var count => new string(' ', Math.Clamp(Machine.Count(count, 0, "indent"), 0, 1000)),
        };
        var separators = a[2] is null or None ? null : (Machine.ItemsOf(a[2]!) ?? []).OfType<string>().ToList();
        if (separators is not (null or { Count: 2 }))
            throw new JinjaFault("separators must be two texts");
        var json = new JsonText(
            machine,
            a[0] is { } ascii && Machine.Truth(ascii),
            indent,
            separators?[0] ?? (indent is null ? ", " : ","),
            separators?[1] ?? ": ",
            a[3] is { } sort && Machine.Truth(sort));
        json.Write(value, 0);
        return machine.Meter.Made(json.to.ToString());
    }

    private void Write(object value, int depth)
    {
        Meter.Stack();
        machine.Meter.Work();
        machine.Meter.Limit(to.Length);
        switch (Markup.Bare(value))
        {
            case None:
                to.Append("null");
                break;
            case string text:
                Quote(text);
                break;
            case bool or BigInteger or double:
                to.Append(Plain(value));
                break;
            case Sequence list:
                Several(
                    '[',
                    ']',
                    list.Items,
                    depth,
                    item => Write(item, depth + 1));
                break;
            case DictValue dict:
                var entries = dict.Entries.ToList();
                if (sort)
                    entries.Sort((a, b) => machine.Order(a.Key, b.Key) ?? 0);
                Several(
                    '{',
                    '}',
                    entries,
                    depth,
                    entry =>
                    {
                        Quote(entry.Key switch
                        {
                            string text => text,
                            None => "null",
                            bool or BigInteger or double => Plain(entry.Key),
                            _ => throw new JinjaFault($"a key of JSON cannot be a {Types.NameOf(entry.Key)}"),
                        });
                        to.Append(keySeparator);
                        Write(entry.Value, depth + 1);
                    });
                break;
            default:
                throw new JinjaFault($"a value of the type {Types.NameOf(value)} has no form in JSON");
        }
    }

    private static string Plain(object value) => value switch
    {
        bool flag => flag ? "true" : "false",
        double.NaN => "NaN",
        double.PositiveInfinity => "Infinity",
        double.NegativeInfinity => "-Infinity",
        double real => Numbers.Text(real),
        _ => ((BigInteger)value).ToString(CultureInfo.InvariantCulture),
    };

    private void Several<T>(
        char begin,
        char end,
        IReadOnlyList<T> items,
        int depth,
        Action<T> write)
    {
        to.Append(begin);
        for (var i = 0; i < items.Count; i++)
        {
            if (i > 0)
                to.Append(itemSeparator);
            NewLine(depth + 1);
            write(items[i]);
        }
        if (items.Count > 0)
            NewLine(depth);
        to.Append(end);
    }

    private void NewLine(int depth)
    {
        if (indent is null)
            return;
        machine.Meter.Limit(to.Length + (long)indent.Length * depth);
        to.Append('\n');
        for (var i = 0; i < depth; i++) to.Append(indent);
    }

    private void Quote(string text)
    {
        machine.Meter.Text(text.Length);
        to.Append('"');
        foreach (var letter in text)
        {
            to.Append(letter switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                '\b' => "\\b",
                '\f' => "\\f",
                _ when letter < ' ' || (ascii && letter > '~') => $"\\u{(int)letter:x4}",
                _ => letter.ToString(),
            });
        }
        to.Append('"');
    }
}
