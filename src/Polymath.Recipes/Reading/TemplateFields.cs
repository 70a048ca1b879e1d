using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>Finds the fields that a template names.</summary>
public static partial class TemplateFields
{
    /// <summary>The name that stands for the answer in a prompt's template.</summary>
    public const string Mask = "mask";

    /// <summary>The names in braces, in order, as often as they occur; doubled braces are text.</summary>
    public static IReadOnlyList<string> In(string template) =>
        [.. Form().Matches(template).Where(match => match.Groups["name"].Success).Select(match => match.Groups["name"].Value)];

    [GeneratedRegex(@"\{\{|\}\}|\{(?<name>[^{}\s](?:[^{}\r\n]*[^{}\s])?)\}", RegexOptions.CultureInvariant)]
    private static partial Regex Form();

    /// <summary>The places of fields in a text. The group <c>name</c> is a field's name; a match without it is a doubled brace.</summary>
    /// <param name="text">The text.</param>
    public static MatchCollection Places(string text) => Form().Matches(text);
}
