using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>
/// The forms of messages that templates accept: some do not accept a content of null, some need the arguments of a call as text and others
/// as an object, some accept only lists of parts.
/// </summary>
internal static class MessageForms
{
    /// <summary>The original messages, and then each other form that differs.</summary>
    /// <param name="messages">The messages.</param>
    internal static IEnumerable<JsonArray> Of(JsonArray messages)
    {
        yield return messages;
        foreach (var form in new Func<JsonObject, bool>[] { Filled, Written, Opened, Parted })
        {
            var copy = messages.DeepClone().AsArray();
            var changed = false;
            foreach (var message in copy.OfType<JsonObject>())
            {
                // Every other form also replaces a content of null by an empty text.
                changed |= (form != Filled && Filled(message)) | form(message);
            }
            if (changed)
                yield return copy;
        }
    }

    /// <summary>
    /// Whether a rendering has the arguments of a call, which are JSON in a text, encoded in JSON a second time: a model would learn this
    /// wrong form.
    /// </summary>
    /// <param name="messages">The messages.</param>
    /// <param name="text">The rendering.</param>
    internal static bool AreTwiceWritten(JsonArray messages, string text)
    {
        var twice = false;
        foreach (var message in messages.OfType<JsonObject>())
        {
            Arguments(message, value =>
            {
                twice |= MessageText.Words(value) is { } words && JsonValues.Parse(words) is JsonObject
                    && text.Contains(JsonValue.Create(words).ToJsonString(JsonLayout.Line), StringComparison.Ordinal);
                return null;
            });
        }
        return twice;
    }

    private static bool Filled(JsonObject message)
    {
        if (message["content"] is not null)
            return false;
        message["content"] = "";
        return true;
    }

    private static bool Written(JsonObject message) =>
        Arguments(message, value => value is JsonObject or JsonArray ? JsonValue.Create(value.ToJsonString(JsonLayout.Line)) : null);

    private static bool Opened(JsonObject message) =>
        Arguments(message, value => MessageText.Words(value) is { } text && JsonValues.Parse(text) is JsonObject members ? members : null);

    private static bool Parted(JsonObject message)
    {
        if (MessageText.Words(message["content"]) is not { } text)
            return false;
        message["content"] = new JsonArray(new JsonObject { ["type"] = "text", ["text"] = text });
        return true;
    }

    private static bool Arguments(JsonObject message, Func<JsonNode?, JsonNode?> other)
    {
        var changed = false;
        foreach (var call in message["tool_calls"] as JsonArray ?? [])
        {
            if ((call?["function"] ?? call) is not JsonObject function || other(function["arguments"]) is not { } form)
                continue;
            function["arguments"] = form;
            changed = true;
        }
        return changed;
    }
}
