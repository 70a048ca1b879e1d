using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>Writes a recipe as canonical YAML: settings in the order of their records, without those that equal their defaults.</summary>
internal static partial class RecipeWriter
{
    /// <summary>The YAML of a recipe.</summary>
    public static string Write(Recipe recipe)
    {
        var text = new StringBuilder();
        Block(text, Entries(recipe, []), 0);
        return text.ToString();
    }

    /// <summary>The keys and values of a record that differ from its defaults.</summary>
    private static List<(string Key, object Value)> Entries(object record, List<(string Key, object Value)> entries)
    {
        foreach (var setting in Shape.SettingsOf(record.GetType()))
        {
            var value = record.GetType().GetProperty(setting.Parameter.Name!)!.GetValue(record);
            if (setting.Flat)
                entries.AddRange(Tagged(value!, setting.Type));
            else if (value is not null && !(!setting.Required && value.Equals(setting.Default)))
                entries.Add((setting.Key, Plain(value, setting.Type)));
        }
        return entries;
    }

    /// <summary>The entries of a family's case, the key that selects it in front unless it is meant without.</summary>
    private static List<(string Key, object Value)> Tagged(object record, Type family)
    {
        var chosen = Shape.CasesOf(family).First(one => one.Type == record.GetType());
        return Entries(record, chosen.Value is null || chosen.IsDefault ? [] : [(chosen.Key, chosen.Value)]);
    }

    /// <summary>A value as texts, lists and entries.</summary>
    private static object Plain(object value, Type type) => value switch
    {
        string text => Quoted(text),
        WrittenSettings written => AsWritten(written.Node),
        bool truth => truth ? "true" : "false",
        int whole => whole.ToString(CultureInfo.InvariantCulture),
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        Enum choice => Shape.Camel(choice.ToString()),
        IDictionary named => named.Keys.Cast<string>().Select(key => (key, Plain(named[key]!, Shape.ValueOf(type)!))).ToList(),
        IEnumerable items => items.Cast<object>().Select(item => Plain(item, Shape.ItemOf(type)!)).ToList(),
        _ when Shape.CasesOf(type).Count > 0 => Tagged(value, type),
        _ => Entries(value, []),
    };

    private static object AsWritten(Node node) => node switch
    {
        MappingNode mapping => mapping.Entries.Select(entry => (entry.Key, AsWritten(entry.Value))).ToList(),
        ListNode list => list.Items.Select(AsWritten).ToList(),
        ScalarNode { Plain: true } plain => plain.Value,
        ScalarNode quoted => Quoted(quoted.Value),
        _ => "",
    };

    private static void Block(StringBuilder text, List<(string Key, object Value)> entries, int indent)
    {
        var first = true;
        foreach (var (key, value) in entries)
        {
            text.Append(' ', first && text.Length > 0 && text[^1] == ' ' ? 0 : indent).Append(Quoted(key)).Append(':');
            first = false;
            switch (value)
            {
                case List<(string Key, object Value)> { Count: > 0 } inner:
                    text.Append('\n');
                    Block(text, inner, indent + 2);
                    break;
                case List<object> items when items.Any(item => item is not string):
                    text.Append('\n');
                    foreach (var item in items)
                        Item(text, item, indent + 2);
                    break;
                default:
                    text.Append(' ').Append(Flow(value)).Append('\n');
                    break;
            }
        }
    }

    private static void Item(StringBuilder text, object item, int indent)
    {
        text.Append(' ', indent).Append("- ");
        if (item is List<(string Key, object Value)> { Count: > 0 } entries)
            Block(text, entries, indent + 2);
        else
            text.Append(Flow(item)).Append('\n');
    }

    private static string Flow(object value) => value switch
    {
        string text => text,
        List<object> items => $"[{string.Join(", ", items.Select(Flow))}]",
        _ => "{}",
    };

    /// <summary>A text without quotes where that is safe, else in double quotes.</summary>
    private static string Quoted(string text)
    {
        if (Safe().IsMatch(text) && text is not ("null" or "Null" or "NULL" or "true" or "false"))
            return text;
        var quoted = new StringBuilder("\"");
        foreach (var character in text)
        {
            _ = character switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\t' => quoted.Append("\\t"),
                < ' ' or (>= '\u007f' and <= '\u00a0') or '\u2028' or '\u2029' or '\ufeff' =>
                    quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                _ => quoted.Append(character),
            };
        }
        return quoted.Append('"').ToString();
    }

    [GeneratedRegex(@"^[\p{L}_](?:[\p{L}\p{Nd}_./@*+-]| (?=[\p{L}\p{Nd}]))*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Safe();
}
