using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Lists of messages, with <c>role</c> and <c>content</c> or with <c>from</c> and <c>value</c>.</summary>
internal static class MessageReading
{
    /// <summary>The messages, as OpenAI writes them.</summary>
    public static JsonArray Read(JsonNode? node)
    {
        IEnumerable<JsonNode?> items = node switch
        {
            JsonArray { Count: > 0 } list => list,
            JsonObject one => new JsonNode?[] { one },
            _ => throw new InputException("Messages must be a list of objects with role and content, or from and value, and not empty. "
                + "Correct the rows."),
        };
        var messages = new JsonArray();
        foreach (var item in items)
            messages.Add(One(item as JsonObject
                ?? throw new InputException($"A message must be an object, found {Short(item)}. Correct the rows.")));
        return messages;
    }

    /// <summary>JSON that stands in a text; null where the text is none.</summary>
    public static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static JsonObject One(JsonObject message)
    {
        if (message["role"] is not null) return message.DeepClone().AsObject();
        var text = RowShape.Text(message["value"]);
        switch (RowShape.Text(message["from"]))
        {
            case "human" or "user":
                return Dialogue.Message("user", text);
            case "gpt" or "assistant" or "chatgpt" or "bing" or "bard":
                return Dialogue.Message("assistant", text);
            case "system":
                return Dialogue.Message("system", text);
            case "observation" or "tool" or "function":
                return Dialogue.Message("tool", text);
            case "function_call":
                var call = Parse(text);
                var calling = Dialogue.Message("assistant", "");
                calling["tool_calls"] = new JsonArray([.. (call as JsonArray ?? [call])
                    .Select(one => new JsonObject { ["type"] = "function", ["function"] = one?.DeepClone() })]);
                return calling;
            case var role:
                throw new InputException($"A message is from '{role}', which is no known speaker: human, gpt, system, function_call, "
                    + "observation. Correct the rows.");
        }
    }

    private static string Short(JsonNode? node) => node?.ToJsonString() is { } text ? text[..Math.Min(40, text.Length)] : "null";
}
