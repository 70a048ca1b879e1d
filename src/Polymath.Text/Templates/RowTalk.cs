using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>Reads rows with a conversation in the one form of <see cref="RowShape"/>.</summary>
public static class RowTalk
{
    /// <summary>
    /// The suffix after <c>chosen</c> or <c>rejected</c> for the field with the answer's messages, when it is more than one text.
    /// </summary>
    internal const string Turns = "Turns";

    /// <summary>The conversation of a row; for a preference, with the better answer.</summary>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">The row has none.</exception>
    public static Dialogue Of(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return Read(row.Name, row.Fields, Has(row.Fields, "chosen") ? "chosen" : null, answerAlone: false);
    }

    /// <summary>
    /// A preference's conversation with one of its answers, of which only that answer is learned: earlier ones are the same on both sides.
    /// </summary>
    /// <param name="row">The row.</param>
    /// <param name="side"><c>chosen</c> or <c>rejected</c>.</param>
    /// <exception cref="InputException">The row has none.</exception>
    public static Dialogue Side(Row row, string side)
    {
        ArgumentNullException.ThrowIfNull(row);
        return Read(row.Name, row.Fields, side, answerAlone: true);
    }

    /// <summary>The conversation of a row, of which only the last message is learned.</summary>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">The row has none.</exception>
    public static Dialogue Last(Row row)
    {
        var dialogue = Of(row);
        foreach (var message in dialogue.Messages.OfType<JsonObject>().SkipLast(1))
            message[Dialogue.Weight] = 0;
        return dialogue;
    }

    /// <summary>What the user says last.</summary>
    /// <param name="dialogue">The conversation.</param>
    public static string LastUser(this Dialogue dialogue)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        var message = dialogue.Messages.LastOrDefault(message => message?["role"]?.ToString() == "user");
        return message?["content"] is JsonValue content ? content.ToString() : "";
    }

    /// <summary>Whether a row has an answer on a side: a text, or messages such as a call alone.</summary>
    /// <param name="fields">The row's fields.</param>
    /// <param name="side"><c>chosen</c> or <c>rejected</c>.</param>
    internal static bool Has(IReadOnlyDictionary<string, string> fields, string side) =>
        fields.GetValueOrDefault(side) is { Length: > 0 } || fields.GetValueOrDefault(side + Turns) is { Length: > 0 };

    private static Dialogue Read(string name, IReadOnlyDictionary<string, string> fields, string? side, bool answerAlone)
    {
        try
        {
            if (fields.GetValueOrDefault("messages") is { Length: > 0 } text && JsonNode.Parse(text) is JsonArray { Count: > 0 } messages)
            {
                if (answerAlone)
                    Unlearn(messages);
                foreach (var turn in side is null ? [] : Answer(fields, side))
                    messages.Add(turn);
                return new Dialogue(
                    name, messages, fields.GetValueOrDefault("tools") is { Length: > 0 } tools ? JsonNode.Parse(tools) as JsonArray : null);
            }
        }
        catch (JsonException fault)
        {
            throw new InputException($"{name}: the messages are not JSON: {fault.Message} Give the source a shape.", fault);
        }
        throw new InputException(
            $"{name}: the row holds no messages; it has {string.Join(", ", fields.Keys)}. Give its source a shape that has some, or name "
                + "prompt and answer.");
    }

    private static IEnumerable<JsonNode> Answer(IReadOnlyDictionary<string, string> fields, string side)
    {
        if (fields.GetValueOrDefault(side + Turns) is { Length: > 0 } turns)
            return [.. JsonNode.Parse(turns)!.AsArray().Select(turn => turn!.DeepClone())];
        return fields.TryGetValue(side, out var text) ? [Dialogue.Message("assistant", text)] : [];
    }

    private static void Unlearn(JsonArray messages)
    {
        foreach (var message in messages.OfType<JsonObject>())
            message[Dialogue.Weight] = 0;
    }
}
