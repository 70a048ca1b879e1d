using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>Reads variables of a template in the form in which users write them.</summary>
public static class TemplateVariables
{
    /// <summary>
    /// The variables: a text that is true, false, a number, a list or an object in JSON becomes that value; any other text stays text.
    /// </summary>
    /// <param name="texts">The written variables, by name.</param>
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
