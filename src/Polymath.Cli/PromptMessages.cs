using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Cli;

/// <summary>Conversations in OpenAI's form: a list of messages, of which the model answers the last.</summary>
internal static class PromptMessages
{
    /// <summary>A row's messages.</summary>
    /// <param name="node">The value of <c>messages</c>.</param>
    /// <param name="place">The row's file and line.</param>
    /// <exception cref="InputException">It is not a list of messages that ends before an answer.</exception>
    internal static JsonArray Read(JsonNode? node, string place)
    {
        const string sample = "{\"role\": \"user\", \"content\": \"...\"}";
        if (node is not JsonArray { Count: > 0 } list)
            throw new InputException($"{place}: messages is {node?.ToJsonString() ?? "null"}; write a list such as [{sample}].");
        for (var i = 0; i < list.Count; i++)
            if (list[i] is not JsonObject message || Text(message["role"]) is null
                || message["content"] is null && message["tool_calls"] is null)
                throw new InputException($"{place}: message {i + 1} is {list[i]?.ToJsonString() ?? "null"}; write its role and its "
                    + $"content, such as {sample}.");
        if (Text(list[^1]!["role"]) == "assistant")
            throw new InputException($"{place}: the last message has the role 'assistant', so there is nothing to answer. End with a "
                + "message of the role 'user'.");
        return list;
    }

    /// <summary>The tokens of a conversation whose last message the model answers.</summary>
    /// <param name="model">The model.</param>
    /// <param name="messages">The messages.</param>
    /// <param name="tools">The tools; null for none.</param>
    /// <param name="system">The system message of a conversation that has none; null for none.</param>
    /// <param name="place">The conversation's name in messages.</param>
    internal static int[] Encode(
        TextModel model,
        JsonArray messages,
        JsonArray? tools,
        string? system,
        string place)
    {
        if (!model.Contract.Recorded)
            throw new InputException($"{place}: the model has no chat template to lay out messages with. Choose one with --template "
                + "(polymath template list), or give a prompt to continue.");
        var whole = messages.DeepClone().AsArray();
        if (system is not null && Text(whole[0]!["role"]) is not ("system" or "developer"))
            whole.Insert(0, Dialogue.Message("system", system));
        return model.Contract.Render(new Dialogue(place, whole, tools), model.Tokenizer).Tokenize(model.Tokenizer).Ids;
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
