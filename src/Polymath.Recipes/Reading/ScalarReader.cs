using System.Globalization;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>
/// Turns a single value into text, a number, true or false, or a choice. It is strict: the value must have the expected type.
/// </summary>
internal static partial class ScalarReader
{
    /// <summary>Reads a value; null, with a fault, when it does not fit.</summary>
    public static object? Read(
        ScalarNode node,
        Type type,
        BoundsAttribute? bounds,
        string path,
        FaultList faults)
    {
        if (type == typeof(string))
            return node.Value;
        var (value, problem, hint) = type switch
        {
            { IsEnum: true } => Choice(node.Value, type),
            _ when !node.Plain => (null, $"{node.Describe()} is text in quotes where {Wanted(type)} is expected", "remove the quotes"),
            _ when type == typeof(bool) => Truth(node.Value),
            _ when type == typeof(int) => Whole(node.Value),
            _ => Number(node.Value),
        };
        if (problem is null && bounds is not null)
            (problem, hint) = Outside(Convert.ToDouble(value, CultureInfo.InvariantCulture), node.Value, bounds);
        if (problem is null)
            return value;
        faults.Add(path, node.Place, problem, hint ?? $"write {Wanted(type)}");
        return null;
    }

    /// <summary>What is expected, in words.</summary>
    public static string Wanted(Type type) => type switch
    {
        _ when type == typeof(string) => "text",
        _ when type == typeof(bool) => "true or false",
        _ when type == typeof(int) => "a whole number",
        _ when type == typeof(double) => "a number",
        { IsEnum: true } => $"one of {string.Join(", ", Shape.ChoicesOf(type))}",
        _ when Shape.ItemOf(type) is { } item => $"a list ({Wanted(item)} each)",
        _ => "a mapping of keys",
    };

    private static (object? Value, string? Problem, string? Hint) Choice(string text, Type type)
    {
        var names = Enum.GetNames(type);
        var index = Array.FindIndex(names, name => Shape.Camel(name) == text);
        return index >= 0
            ? (Enum.Parse(type, names[index]), null, null)
            : (null, $"'{text}' is not one of the choices", Nearest.Hint(text, Shape.ChoicesOf(type), "choices"));
    }

    private static (object? Value, string? Problem, string? Hint) Truth(string text) => text switch
    {
        "true" => (true, null, null),
        "false" => (false, null, null),
        _ => (null, $"'{text}' is neither true nor false", text.ToUpperInvariant() switch
        {
            "TRUE" or "YES" or "ON" or "1" or "Y" => "type true",
            "FALSE" or "NO" or "OFF" or "0" or "N" => "type false",
            _ => null,
        }),
    };

    private static (object? Value, string? Problem, string? Hint) Whole(string text)
    {
        if (WholeForm().IsMatch(text))
        {
            return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
                ? (value, null, null)
                : (null, $"{text} is beyond what a whole number can hold", $"write one up to {int.MaxValue}");
        }
        var meant = Meant(text) is { } number && number == Math.Truncate(number) && Math.Abs(number) <= int.MaxValue
            ? $"type {(int)number}"
            : null;
        return (null, $"'{text}' is not a whole number", meant);
    }

    private static (object? Value, string? Problem, string? Hint) Number(string text)
    {
        if (NumberForm().IsMatch(text))
        {
            return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
                ? (value, null, null)
                : (null, $"{text} is beyond what a number can hold", null);
        }
        return (
            null,
            $"'{text}' is not a number",
            Meant(text) is { } number ? $"type {number.ToString("R", CultureInfo.InvariantCulture)}" : null);
    }

    /// <summary>The number that a wrong spelling most likely stands for.</summary>
    private static double? Meant(string text)
    {
        var bare = text.Replace("_", "", StringComparison.Ordinal)
            .Replace(",", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal);
        return double.TryParse(bare, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? number
            : null;
    }

    private static (string? Problem, string? Hint) Outside(double value, string text, BoundsAttribute bounds)
    {
        var (least, most) = (Plain(bounds.Least), Plain(bounds.Most));
        var range = bounds.Most == double.MaxValue ? $"write {least} or more" : $"write a number from {least} to {most}";
        if (value < bounds.Least)
            return ($"{text} is less than {least}", range);
        return value > bounds.Most ? ($"{text} is more than {most}", range) : (null, null);
    }

    private static string Plain(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^[-+]?(?:0|[1-9][0-9]*)\z", RegexOptions.CultureInvariant)]
    private static partial Regex WholeForm();

    [GeneratedRegex(@"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex NumberForm();
}
