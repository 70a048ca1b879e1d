using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Converts lists of messages, in all their written forms, to OpenAI's form.</summary>
internal static class MessageReading
{
    // The parts of a message that are read by name, with all their names.
    private static readonly string[] Named = ["role", "from", "speaker", "content", "value", "text", "tool_calls", "function_call"];

    /// <summary>The messages of a column.</summary>
    /// <param name="row">The row.</param>
    /// <param name="column">The column; it is marked as used.</param>
    /// <exception cref="InputException">They are not messages.</exception>
    public static JsonArray Read(SourceRow row, string column) => Read(row, row.Take(column), column);

    /// <summary>
    /// Whether a value is a list of messages, or a text that holds one in JSON. An answer may itself be JSON, so only objects that name a
    /// speaker are messages.
    /// </summary>
    /// <param name="row">The row.</param>
    /// <param name="value">The value.</param>
    public static bool IsList(SourceRow row, JsonNode? value) => Opened(value) switch
    {
        JsonArray { Count: > 0 } list => list[0] is JsonObject first && Speaks(row, first),
        JsonObject one => Speaks(row, one),
        _ => false,
    };

    private static bool Speaks(SourceRow row, JsonObject message)
    {
        bool Has(string part, params string[] names) =>
            row.Rules.MessageKey(part) is { } key ? message.ContainsKey(key) : names.Any(message.ContainsKey);
        return Has("role", "role", "from") && (Has("content", "content", "value") || message.ContainsKey("tool_calls"));
    }

    /// <summary>The messages of a value.</summary>
    /// <param name="row">The row.</param>
    /// <param name="value">A list of messages, one message, or either as JSON in a text.</param>
    /// <param name="column">Its name in messages.</param>
    /// <exception cref="InputException">They are not messages.</exception>
    public static JsonArray Read(SourceRow row, JsonNode? value, string column)
    {
        var items = Opened(value) switch
        {
            JsonArray list => list,
            JsonObject one => Turned(one) ?? [one.DeepClone()],
            null when value is null => throw row.Fault($"'{column}' is null. Correct the row, or leave such rows out with where."),
            _ => throw row.Fault($"'{column}' is not a list of messages but {SourceRow.Short(value)}. Write objects with role and content, "
                + "or from and value."),
        };
        var messages = new JsonArray();
        foreach (var (index, item) in items.Index())
        {
            var where = $"message {index + 1} of '{column}'";
            if (item is not JsonObject message)
                throw row.Fault($"{where} is {SourceRow.Short(item)}. Write objects with role and content, or from and value.");
            Add(row, messages, message, where);
        }
        return messages.Count > 0
            ? messages
            : throw row.Fault($"'{column}' has no messages. Leave such rows out with where, or correct the row.");
    }

    private static void Add(SourceRow row, JsonArray messages, JsonObject message, string where)
    {
        if (!message.ContainsKey("role") && !message.ContainsKey("from") && PairReading.Of(row, message, where) is { } pair)
        {
            foreach (var said in pair)
                messages.Add(said);
            return;
        }
        var (speaker, role) = MessageRoles.Of(row, message, where);
        if (row.Rules.IgnoresInside(role) || row.Rules.IgnoresInside(speaker))
        {
            row.Report.Count($"messages of the role '{speaker}' are ignored", row.Place.ToString());
            return;
        }
        var one = role == MessageRoles.Call ? Call(row, message, where) : One(row, message, role, where);
        if (one is not null && !(role == MessageRoles.Call && MessageCalls.Merge(messages.LastOrDefault() as JsonObject, one)))
            messages.Add(one);
    }

    private static JsonObject? One(SourceRow row, JsonObject message, string role, string where)
    {
        var one = new JsonObject { ["role"] = role };
        MessageContent.Put(row, message, one, where);
        MessageCalls.Put(row, message, one, where);
        PutRest(row, message, one, where);
        if (one["content"] is null && one["tool_calls"] is null && !SourceRow.IsBlank(message["tool_calls"]))
        {
            row.Report.Count("messages that only call are ignored", row.Place.ToString());
            return null;
        }
        if (one["content"] is null && one["tool_calls"] is null)
            throw row.Fault($"{where} ({role}) has no content: it is null or missing. Correct the row, or leave it out with where.");
        return one;
    }

    // A message that only calls: its text is the call.
    private static JsonObject Call(SourceRow row, JsonObject message, string where)
    {
        var one = new JsonObject { ["role"] = "assistant" };
        MessageContent.Put(row, message, one, where);
        var text = one["content"]?.ToString() ?? "";
        one["content"] = "";
        if (text.Length > 0 || one["tool_calls"] is null)
            MessageCalls.Add(row, one, text, where);
        MessageCalls.Put(row, message, one, where);
        PutRest(row, message, one, where);
        return one;
    }

    // The weight, and the keys that only some templates know.
    private static void PutRest(SourceRow row, JsonObject message, JsonObject one, string where)
    {
        MessageWeight.Put(row, message, one, where);
        TellSecondName(row, message, MessageRoles.KeyOf(row, message), MessageRoles.Keys);
        TellSecondName(row, message, MessageContent.KeyOf(row, message), MessageContent.Keys);
        foreach (var (key, value) in message)
        {
            if (IsRead(row, key) || SourceRow.IsBlank(value))
                continue;
            RefuseMedia(row, key, value, where);
            if (row.Rules.IgnoresInside(key))
                row.Report.Count($"key '{key}' of messages is ignored", row.Place.ToString());
            else if (!one.ContainsKey(key))
                one[key] = value!.DeepClone();
        }
    }

    /// <summary>Refuses pictures, sounds and videos that a message brings under a key of its own.</summary>
    /// <param name="row">The row.</param>
    /// <param name="key">The key.</param>
    /// <param name="value">Its value.</param>
    /// <param name="where">The message's name in messages.</param>
    /// <exception cref="InputException">They are not ignored.</exception>
    internal static void RefuseMedia(SourceRow row, string key, JsonNode? value, string where)
    {
        if (ShapeKeys.IsMedia(key) && !row.Rules.IgnoresInside(key))
            throw row.Fault($"{where} has '{key}': {SourceRow.Short(value)}, and a language model does not read it. Leave such rows out "
                + $"with where, or read the messages without it: ignore: [{key}] (--ignore {key}).");
    }

    // Two names of one thing: the first is read, and the other is reported where it says something else.
    private static void TellSecondName(SourceRow row, JsonObject message, string? read, IReadOnlyList<string> names)
    {
        foreach (var name in names.Where(name => name != read && !row.Rules.IgnoresInside(name) && !SourceRow.IsBlank(message[name])))
        {
            if (read is not null && !JsonNode.DeepEquals(message[name], message[read]))
                row.Report.Count($"key '{name}' of messages is not used: '{read}' is read", row.Place.ToString());
        }
    }

    private static bool IsRead(SourceRow row, string key) =>
        Named.Contains(key) || MessageWeight.IsKey(key) || key == row.Rules.MessageKey("role") || key == row.Rules.MessageKey("content");

    private static JsonNode? Opened(JsonNode? value) =>
        value is JsonValue text && text.GetValueKind() == JsonValueKind.String && text.ToString().TrimStart() is ['[' or '{', ..]
            ? JsonValues.Parse(text.ToString()) ?? value
            : value;

    // A dict of equally long lists, which is how datasets stores a sequence of dicts, becomes the list of its rows.
    private static JsonArray? Turned(JsonObject columns)
    {
        var lists = columns.Where(pair => pair.Value is JsonArray).Select(pair => (pair.Key, List: (JsonArray)pair.Value!)).ToList();
        if (lists.Count < 2 || lists.Count != columns.Count || lists.Select(pair => pair.List.Count).Distinct().Count() != 1)
            return null;
        return [.. Enumerable.Range(0, lists[0].List.Count)
            .Select(i => new JsonObject(lists.Select(pair => KeyValuePair.Create(pair.Key, pair.List[i]?.DeepClone()))))];
    }
}
