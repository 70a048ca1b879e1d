using System.Text.RegularExpressions;

namespace Polymath.Text.Templates;

/// <summary>Text with places for fields, written <c>{field}</c>; <c>{{</c> and <c>}}</c> stand for braces.</summary>
public sealed partial class FieldText
{
    readonly List<(string Text, bool IsField)> parts = [];

    /// <summary>Reads a text with places.</summary>
    /// <param name="text">The text.</param>
    public FieldText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var at = 0;
        foreach (Match match in Place().Matches(text))
        {
            Add(text[at..match.Index]);
            if (match.Groups["field"].Success) parts.Add((match.Groups["field"].Value, true));
            else Add(match.Value[..1]);
            at = match.Index + match.Length;
        }
        Add(text[at..]);
    }

    /// <summary>The literal pieces and the names of fields, in order.</summary>
    public IReadOnlyList<(string Text, bool IsField)> Parts => parts;

    /// <summary>The text with each field's value in its place; a field that is not there is left out.</summary>
    /// <param name="fields">The values.</param>
    public string Fill(IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        return string.Concat(parts.Select(part => part.IsField ? fields.GetValueOrDefault(part.Text, "") : part.Text));
    }

    void Add(string literal)
    {
        if (literal.Length == 0) return;
        if (parts.Count > 0 && !parts[^1].IsField) parts[^1] = (parts[^1].Text + literal, false);
        else parts.Add((literal, false));
    }

    [GeneratedRegex(@"\{\{|\}\}|\{(?<field>[^{}\s]+)\}")]
    private static partial Regex Place();
}
