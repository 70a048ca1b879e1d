using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>Rows that hold a conversation in the one form of <see cref="RowShape"/>.</summary>
public static class RowTalk
{
    /// <summary>The conversation of a row; of a preference, with the better answer.</summary>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">The row holds none.</exception>
    public static Dialogue Of(Row row)
    {
        ArgumentNullException.ThrowIfNull(row);
        return Of(row.Key, row.Fields, row.Fields.GetValueOrDefault("chosen"));
    }

    /// <summary>The conversation of a row's fields.</summary>
    /// <param name="key">The row's name in messages.</param>
    /// <param name="fields">The fields.</param>
    /// <param name="answer">The answer that ends it; null where the messages hold it.</param>
    /// <exception cref="InputException">The fields hold none.</exception>
    public static Dialogue Of(string key, IReadOnlyDictionary<string, string> fields, string? answer)
    {
        ArgumentNullException.ThrowIfNull(fields);
        try
        {
            if (fields.GetValueOrDefault("messages") is { Length: > 0 } text && JsonNode.Parse(text) is JsonArray { Count: > 0 } messages)
            {
                if (!string.IsNullOrEmpty(answer)) messages.Add(Dialogue.Message("assistant", answer));
                return new Dialogue(
                    key, messages, fields.GetValueOrDefault("tools") is { Length: > 0 } tools ? JsonNode.Parse(tools) as JsonArray : null);
            }
        }
        catch (JsonException fault)
        {
            throw new InputException($"The row {key} has messages that are not JSON: {fault.Message} Give its source a shape.", fault);
        }
        throw new InputException($"The row {key} holds no messages; it has {string.Join(", ", fields.Keys)}. Give its source a shape that "
            + "has some, or name prompt and answer.");
    }

    /// <summary>What the user says last.</summary>
    /// <param name="dialogue">The conversation.</param>
    public static string LastUser(this Dialogue dialogue)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        return dialogue.Messages.LastOrDefault(message => message?["role"]?.ToString() == "user")?["content"] is JsonValue content
            ? content.ToString()
            : "";
    }
}
