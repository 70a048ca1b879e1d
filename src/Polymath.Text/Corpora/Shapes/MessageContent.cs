using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text;

/// <summary>The content of a message, as a text or in parts.</summary>
internal static class MessageContent
{
    /// <summary>The names of what a message says, in the order in which they are looked for.</summary>
    internal static readonly string[] Keys = ["content", "value", "text"];

    /// <summary>Converts the content of a message to the one form: a text, or null with a call.</summary>
    /// <param name="row">The row.</param>
    /// <param name="from">The original message.</param>
    /// <param name="into">The message in the one form, which gets content, thoughts and calls.</param>
    /// <param name="where">Its name in messages.</param>
    internal static void Put(SourceRow row, JsonObject from, JsonObject into, string where)
    {
        var key = KeyOf(row, from);
        if (key is null)
        {
            into["content"] = null;
            return;
        }
        into["content"] = from[key] is JsonArray parts ? Parts(row, parts, into, where) : Plain(row, from[key], where, key);
    }

    /// <summary>The name under which a message says something; null for none.</summary>
    /// <param name="row">The row.</param>
    /// <param name="message">The message.</param>
    internal static string? KeyOf(SourceRow row, JsonObject message) =>
        row.Rules.MessageKey("content")
            ?? Keys.FirstOrDefault(name => message[name] is not null) ?? Keys.FirstOrDefault(message.ContainsKey);

    private static JsonValue? Plain(SourceRow row, JsonNode? value, string where, string key) =>
        value is null ? null : JsonValue.Create(row.TextOf(value, $"{where}.{key}"));

    // Texts of one message belong together: templates that accept parts print them one after the other.
    private static string Parts(SourceRow row, JsonArray parts, JsonObject into, string where)
    {
        var text = "";
        foreach (var part in parts)
        {
            switch (part)
            {
                case JsonValue plain when plain.GetValueKind() == JsonValueKind.String:
                    text += plain.GetValue<string>();
                    break;
                case JsonObject one:
                    text += Part(row, one, into, where);
                    break;
                default:
                    throw row.Fault($"{where} holds a part that is not an object with a type: {SourceRow.Short(part)}. Write {{\"type\": "
                        + "\"text\", \"text\": \"...\"}.");
            }
        }
        return text;
    }

    private static string Part(SourceRow row, JsonObject part, JsonObject into, string where)
    {
        var kind = part["type"]?.ToString() ?? (part.ContainsKey("text") ? "text" : "");
        var said = part["text"] ?? part["value"] ?? part[kind] ?? part["content"];
        switch (kind)
        {
            case "text" or "input_text" or "output_text":
                return row.TextOf(said, $"{where}, part {kind}");
            case "reasoning" or "thinking":
                into["reasoning_content"] = (into["reasoning_content"]?.ToString() ?? "") + row.TextOf(said, $"{where}, part {kind}");
                return "";
            case "tool_call":
                MessageCalls.Add(row, into, row.TextOf(said, $"{where}, part {kind}"), where);
                return "";
        }
        if (row.Rules.IgnoresInside(kind) || (ShapeKeys.IsMedia(kind) && row.Rules.IgnoresInside(Bare(kind) + "s")))
        {
            row.Report.Count($"content of the type '{kind}' is ignored", row.Place.ToString());
            return "";
        }
        throw row.Fault(
            $"{where} holds content of the type '{kind}', which a language model does not read. "
            + $"Leave such rows out, or read them without it: ignore: [{kind}] (--ignore {kind}).");
    }

    private static string Bare(string kind) => kind.Split('_').First(word => word != "input");
}
