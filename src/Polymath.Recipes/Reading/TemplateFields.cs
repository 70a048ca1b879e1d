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

    /// <summary>
    /// The fields that a prompt's template asks for, in order, as often as they occur, and <see cref="Mask"/> for the place of an answer;
    /// filters belong to no name.
    /// </summary>
    /// <param name="template">The template.</param>
    public static IReadOnlyList<string> OfPrompt(string template) =>
        [.. PromptForm().Matches(template).Where(match => match.Groups["name"].Success)
            .Select(match => FieldOf(match.Groups["name"].Value)).OfType<string>()];

    /// <summary>Whether a prompt's template has a soft token.</summary>
    /// <param name="template">The template.</param>
    public static bool HasSoft(string template) => PromptForm().Matches(template).Select(match => match.Groups["name"].Value)
        .Any(name => name.Split('|')[0].Trim() == "soft" || name.StartsWith("soft:", StringComparison.Ordinal)
            || (name.Length > 0 && name[0] is '"' or '\'' && SoftForm().IsMatch(name)));

    [GeneratedRegex(@"[""'](?:soft|soft_id)[""']", RegexOptions.CultureInvariant)]
    private static partial Regex SoftForm();

    private static string? FieldOf(string block)
    {
        if (block[0] is '"' or '\'')
        {
            var keyed = KeyedForm().Match(block);
            if (!keyed.Success) return null;
            return keyed.Groups["mask"].Success ? Mask : keyed.Groups["name"].Value;
        }
        var name = block.Split('|')[0].Trim();
        return name == "soft" || name.StartsWith("soft:", StringComparison.Ordinal)
            || name.StartsWith("special:", StringComparison.Ordinal) ? null : name;
    }

    [GeneratedRegex(
        @"\{\{|\}\}|\{(?<name>(?:""[^""]*""|'[^']*'|[^{}\s])(?:""[^""]*""|'[^']*'|[^{}\r\n])*)\}", RegexOptions.CultureInvariant)]
    private static partial Regex PromptForm();

    [GeneratedRegex(
        @"[""'](?<mask>mask)[""']|[""'](?:placeholder|meta)[""']\s*:\s*[""'](?<name>[^""']+)[""']", RegexOptions.CultureInvariant)]
    private static partial Regex KeyedForm();

    /// <summary>The places of fields in a text. The group <c>name</c> is a field's name; a match without it is a doubled brace.</summary>
    /// <param name="text">The text.</param>
    public static MatchCollection Places(string text) => Form().Matches(text);
}
