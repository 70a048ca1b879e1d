using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>Finds the fields that a template names.</summary>
internal static partial class TemplateFields
{
    /// <summary>The name that stands for the answer in a prompt's template.</summary>
    public const string Mask = "mask";

    /// <summary>The names in braces, in order, as often as they occur; doubled braces are text.</summary>
    public static IReadOnlyList<string> In(string template) =>
        [.. Form().Matches(template).Where(match => match.Groups["name"].Success).Select(match => match.Groups["name"].Value)];

    [GeneratedRegex(@"\{\{|\}\}|\{(?<name>[^{}\r\n]+)\}", RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
