using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Conversations: a row's messages, or its prompt and its answer.</summary>
internal static class TalkShape
{
    /// <summary>
    /// The messages before the answers: a row's messages, or its prompt with system message and history; empty when it has neither.
    /// </summary>
    /// <param name="row">The row.</param>
    public static JsonArray Prompt(SourceRow row)
    {
        var key = row.Find(ShapeKeys.Prompt) ?? row.Find(ShapeKeys.Input);
        var talk = row.Find(ShapeKeys.Talk);
        // With a separate prompt, the messages repeat one of the conversations.
        if (talk is not null && (key is null || row.Values[key] is null))
            return Messages(row, talk);
        if (key is null || row.Values[key] is null)
            return [];
        if (MessageReading.IsList(row, row.Values[key]) || row.Values[key] is JsonArray)
            return Messages(row, key);
        return Instructions.IsTranscript(row.TextOf(row.Values[key], key)) ? Instructions.Belle(row, key) : Instructions.Asked(row, key);
    }

    /// <summary>The messages of a column, with the system message from its own column.</summary>
    /// <param name="row">The row.</param>
    /// <param name="column">The column.</param>
    public static JsonArray Messages(SourceRow row, string column)
    {
        var messages = MessageReading.Read(row, column);
        if (row.TakeText(row.Find(ShapeKeys.System)) is not { Length: > 0 } system)
            return messages;
        if (messages[0]?["role"]?.ToString() != "system")
            messages.Insert(0, Dialogue.Message("system", system));
        else if (messages[0]!["content"]?.ToString() != system)
            throw row.Fault("the row has two system messages: one in its messages and another in its own column. Leave the one in the "
                + "messages out with ignore: [messages.system] (--ignore messages.system), or correct the row.");
        return messages;
    }

    /// <summary>A conversation's fields.</summary>
    /// <param name="row">The row.</param>
    /// <param name="messages">Its messages.</param>
    public static Dictionary<string, string> Fields(SourceRow row, JsonArray messages)
    {
        MessageWeight.RefuseWholeRows(row);
        // Such rows teach a model to stop at once, and are mostly errors in the data.
        if (messages.OfType<JsonObject>().Any(IsEmptyAnswer))
            row.Report.Count("an answer is empty or only white space, and is learned like this", row.Place.ToString());
        return new(StringComparer.Ordinal) { ["messages"] = messages.ToJsonString(JsonLayout.Line), ["tools"] = Tools(row) };
    }

    private static bool IsEmptyAnswer(JsonObject message) => message["role"]?.ToString() == "assistant"
        && Array.TrueForAll(["content", "tool_calls", "reasoning_content", "thinking"], key => SourceRow.IsBlank(message[key]));

    private static string Tools(SourceRow row)
    {
        if (row.Find(ShapeKeys.Tools) is not { } key)
            return "";
        var value = row.Take(key);
        if (SourceRow.IsBlank(value))
            return "";
        var parsed = value is JsonValue text ? JsonValues.Parse(text.ToString()) : value;
        var list = parsed switch
        {
            JsonArray several => several,
            JsonObject one => [one.DeepClone()],
            _ => throw row.Fault($"'{key}' is not a list of tools in JSON: {SourceRow.Short(value)}. Correct the row, or leave them out "
                + $"with ignore: [{key}]."),
        };
        var tools = new JsonArray();
        foreach (var item in list)
        {
            var tool = item is JsonValue inner && inner.GetValueKind() == JsonValueKind.String ? JsonValues.Parse(inner.ToString()) : item;
            if (tool is not JsonObject)
                throw row.Fault($"'{key}' holds a tool that is not an object: {SourceRow.Short(item)}. Correct the row, or leave them out "
                    + $"with ignore: [{key}].");
            tools.Add(key == "functions" ? new JsonObject { ["type"] = "function", ["function"] = tool.DeepClone() } : tool.DeepClone());
        }
        return tools.Count == 0 ? "" : tools.ToJsonString(JsonLayout.Line);
    }
}
