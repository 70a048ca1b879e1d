using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>Text with places for fields, written <c>{field}</c>; <c>{{</c> and <c>}}</c> stand for braces.</summary>
public sealed class FieldText
{
    private readonly List<(string Text, bool IsField)> parts = [];

    /// <summary>Reads a text with places.</summary>
    /// <param name="text">The text.</param>
    public FieldText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var at = 0;
        foreach (Match match in TemplateFields.Places(text))
        {
            Add(text[at..match.Index]);
            if (match.Groups["name"].Success) parts.Add((match.Groups["name"].Value, true));
            else Add(match.Value[..1]);
            at = match.Index + match.Length;
        }
        Add(text[at..]);
    }

    /// <summary>The literal pieces and the names of fields, in order.</summary>
    public IReadOnlyList<(string Text, bool IsField)> Parts => parts;

    /// <summary>The text with each field's value in its place.</summary>
    /// <param name="fields">The values.</param>
    /// <exception cref="InputException">A field is missing.</exception>
    public string Fill(IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(fields);
        return string.Concat(parts.Select(part => part.IsField ? Value(fields, part.Text) : part.Text));
    }

    internal static string Value(IReadOnlyDictionary<string, string> fields, string name)
    {
        return fields.TryGetValue(name, out var value)
            ? value
            : throw new InputException($"A text asks for the field '{name}', which the row does not have; it has "
                + $"{string.Join(", ", fields.Keys)}. Correct the text, or write {{{{ for a bracket.");
    }

    private void Add(string literal)
    {
        if (literal.Length == 0) return;
        if (parts.Count > 0 && !parts[^1].IsField) parts[^1] = (parts[^1].Text + literal, false);
        else parts.Add((literal, false));
    }
}
