using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>Variables that a template is given besides the conversation, as people write them.</summary>
public static class TemplateVariables
{
    /// <summary>The variables: what is true, false, a number, a list or an object in JSON is one; anything else is text.</summary>
    /// <param name="texts">The variables as they are written, by name.</param>
    public static JsonObject Of(IReadOnlyDictionary<string, string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return new JsonObject(texts.Select(pair => KeyValuePair.Create(pair.Key, ValueOf(pair.Value))));
    }

    private static JsonNode? ValueOf(string text) => text switch
    {
        "null" or "none" or "None" => null,
        "True" => true,
        "False" => false,
        _ => JsonValues.Parse(text) ?? JsonValue.Create(text),
    };
}
