using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Converts calls of functions, in all their written forms, to OpenAI's form.</summary>
internal static class MessageCalls
{
    private const string Key = "tool_calls";

    /// <summary>Converts the calls of a message to the one form.</summary>
    /// <param name="row">The row.</param>
    /// <param name="from">The original message.</param>
    /// <param name="into">The message in the one form.</param>
    /// <param name="where">Its name in messages.</param>
    internal static void Put(SourceRow row, JsonObject from, JsonObject into, string where)
    {
        if (!row.Rules.IgnoresInside(Key) && !SourceRow.IsBlank(from[Key]))
        {
            var calls = from[Key] is JsonValue text ? Parsed(row, text.ToString(), where) : from[Key];
            foreach (var call in calls as JsonArray ?? [calls!.DeepClone()])
                Add(row, into, call, where);
        }
        // The older form, with only one call.
        if (!row.Rules.IgnoresInside(MessageRoles.Call) && !SourceRow.IsBlank(from[MessageRoles.Call]))
            Add(row, into, from[MessageRoles.Call], where);
    }

    /// <summary>Adds the calls in a text.</summary>
    /// <param name="row">The row.</param>
    /// <param name="into">The message.</param>
    /// <param name="text">One call or a list of calls in JSON.</param>
    /// <param name="where">The message's name in faults.</param>
    internal static void Add(SourceRow row, JsonObject into, string text, string where)
    {
        var parsed = Parsed(row, text, where);
        foreach (var call in parsed as JsonArray ?? [parsed.DeepClone()])
            Add(row, into, call, where);
    }

    /// <summary>Adds the calls of a message to those of the message before it: consecutive calls form one message.</summary>
    /// <param name="last">The message before; null for none.</param>
    /// <param name="next">A message that only calls.</param>
    /// <returns>False when the two stay apart: they are learned unlike, or the later one holds more than calls.</returns>
    internal static bool Merge(JsonObject? last, JsonObject next)
    {
        if (last?[Key] is not JsonArray calls || !JsonNode.DeepEquals(last[Dialogue.Weight], next[Dialogue.Weight])
            || next.Any(pair => pair.Key is not ("role" or "content" or Key or Dialogue.Weight)))
            return false;
        foreach (var call in next[Key]!.AsArray())
            calls.Add(call!.DeepClone());
        return true;
    }

    private static void Add(SourceRow row, JsonObject into, JsonNode? call, string where)
    {
        if (MessageText.Words(call) is { } text)
            call = JsonValues.Parse(text);
        var function = ((call as JsonObject)?["function"] ?? call) as JsonObject;
        if (function?["name"] is not JsonValue name || name.GetValueKind() != JsonValueKind.String)
            throw row.Fault($"{where} calls a function without a name: {SourceRow.Short(call)}. Write {{\"name\": \"...\", \"arguments\": "
                + "{...}}.");
        var whole = call?["function"] is null
            ? new JsonObject { ["type"] = "function", ["function"] = function.DeepClone() }
            : call.DeepClone();
        if (into[Key] is JsonArray calls)
            calls.Add(whole);
        else
            into[Key] = new JsonArray(whole);
    }

    private static JsonNode Parsed(SourceRow row, string text, string where)
    {
        var node = JsonValues.Parse(text);
        return node is JsonArray or JsonObject
            ? node
            : throw row.Fault($"{where} is a call that is not JSON: {SourceRow.Short(text)}. Write {{\"name\": \"...\", \"arguments\": "
                + "{...}}.");
    }
}
