using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>A piece of data in one of the shapes that stages learn from.</summary>
/// <param name="Key">Its name in messages.</param>
public abstract record Example(string Key);

/// <summary>A text to read.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Text">The text.</param>
public sealed record Document(string Key, string Text) : Example(Key);

/// <summary>One turn of a conversation.</summary>
/// <param name="User">What the user says.</param>
/// <param name="Assistant">What the model answers; null when it has not answered yet.</param>
public sealed record Turn(string User, string? Assistant = null);

/// <summary>A conversation; only the answers are learned.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Turns">The turns, at least one.</param>
public sealed record Conversation(string Key, IReadOnlyList<Turn> Turns) : Example(Key);

/// <summary>Fields and the label they belong to.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Fields">The fields.</param>
/// <param name="Label">The label.</param>
public sealed record Labelled(string Key, IReadOnlyDictionary<string, string> Fields, string Label) : Example(Key);

/// <summary>A prompt with a better and a worse answer.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Prompt">What the user says.</param>
/// <param name="Chosen">The better answer.</param>
/// <param name="Rejected">The worse answer.</param>
public sealed record Preference(string Key, string Prompt, string Chosen, string Rejected) : Example(Key);

/// <summary>A conversation in full: messages with roles, including system and tool messages, and the tools the model may call.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Messages">The messages in OpenAI's and transformers' form.</param>
/// <param name="Tools">The tools, as JSON schemas; null for none.</param>
public sealed record Dialogue(string Key, JsonArray Messages, JsonArray? Tools = null) : Example(Key)
{
    /// <summary>
    /// The key of a message that says how much it is learned: a number from 0; an answer without it counts 1, any other message 0.
    /// </summary>
    public const string Weight = "weight";

    /// <summary>The weight of a message, if it has one.</summary>
    /// <param name="message">The message.</param>
    public static float? WeightOf(JsonObject? message) => (float?)JsonValues.Number(message?[Weight]);

    /// <summary>A message.</summary>
    /// <param name="role">The role of its speaker.</param>
    /// <param name="content">Its content.</param>
    public static JsonObject Message(string role, string content) => new() { ["role"] = role, ["content"] = content };

    /// <summary>A conversation of turns as messages.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="convert">The conversion of each user's message.</param>
    /// <param name="system">A message before it; empty for none.</param>
    public static Dialogue Of(Conversation conversation, Func<string, string> convert, string system = "")
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ArgumentNullException.ThrowIfNull(convert);
        var messages = new JsonArray();
        if (system.Length > 0) messages.Add(Message("system", convert(system)));
        foreach (var turn in conversation.Turns)
        {
            messages.Add(Message("user", convert(turn.User)));
            if (turn.Assistant is not null) messages.Add(Message("assistant", turn.Assistant));
        }
        return new Dialogue(conversation.Key, messages);
    }
}
