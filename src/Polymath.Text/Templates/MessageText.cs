using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>The content of a message as one text, from a text or from the only part of a list.</summary>
internal static class MessageText
{
    /// <summary>The text; null when the message has none.</summary>
    /// <param name="message">The message.</param>
    internal static string? Of(JsonNode? message) => Words(message?["content"]) ?? Words(Part(message)?["text"]);

    /// <summary>Changes the text in its place.</summary>
    /// <param name="message">The message.</param>
    /// <param name="text">The text.</param>
    internal static void Put(JsonObject message, string text)
    {
        if (Part(message) is { } part)
            part["text"] = text;
        else
            message["content"] = text;
    }

    /// <summary>A value's text; null when it is not a text.</summary>
    /// <param name="node">The value.</param>
    internal static string? Words(JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    private static JsonObject? Part(JsonNode? message) => message?["content"] is JsonArray { Count: 1 } list ? list[0] as JsonObject : null;
}
