using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>What a message says as one text, whether it stands as a text or as the one part of a list.</summary>
internal static class MessageText
{
    /// <summary>The text; null where the message has none.</summary>
    /// <param name="message">The message.</param>
    internal static string? Of(JsonNode? message) => Words(message?["content"]) ?? Words(Part(message)?["text"]);

    /// <summary>Changes the text where it stands.</summary>
    /// <param name="message">The message.</param>
    /// <param name="text">The text.</param>
    internal static void Put(JsonObject message, string text)
    {
        if (Part(message) is { } part)
            part["text"] = text;
        else
            message["content"] = text;
    }

    /// <summary>A value's text; null where it is none.</summary>
    /// <param name="node">The value.</param>
    internal static string? Words(JsonNode? node) =>
        node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    private static JsonObject? Part(JsonNode? message) => message?["content"] is JsonArray { Count: 1 } list ? list[0] as JsonObject : null;
}
