using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Recognises the shapes that published data comes in, and brings them to one form: the fields <c>messages</c> (JSON, as OpenAI writes
/// them), <c>tools</c>, <c>chosen</c>, <c>rejected</c>, <c>label</c> and <c>text</c>, as far as a shape has them.
/// </summary>
public static class RowShape
{
    private static readonly string[] talkKeys = ["messages", "conversations", "conversation"],
        promptKeys = ["instruction", "prompt", "query", "question"],
        answerKeys = ["output", "response", "completion", "answer"];

    private static readonly string[] textKeys = ["text", "sentence", "review", "content"],
        labelKeys = ["label", "sentiment", "category", "class"];

    /// <summary>The shape of a row; null when it is none that is known.</summary>
    /// <param name="row">The row.</param>
    public static DataShape? Recognise(JsonObject row)
    {
        ArgumentNullException.ThrowIfNull(row);
        if (row.ContainsKey("chosen") && row.ContainsKey("rejected")) return DataShape.Preference;
        var talk = Key(row, talkKeys);
        var prompt = Key(row, promptKeys);
        if (Flag(row) is not null && (talk is not null || (prompt is not null && Key(row, answerKeys) is not null))) return DataShape.Kto;
        if (talk is not null && row[talk] is JsonArray { Count: > 0 } list && list[0] is JsonObject first)
            return first.ContainsKey("from") ? DataShape.Sharegpt : first.ContainsKey("role") ? DataShape.Messages : null;
        if (prompt is not null && Key(row, answerKeys) is not null) return IsBelle(Text(row[prompt])) ? DataShape.Belle : DataShape.Alpaca;
        if (Key(row, textKeys) is not null) return Key(row, labelKeys) is not null ? DataShape.Labelled : DataShape.Text;
        return null;
    }

    /// <summary>Brings a row to the one form.</summary>
    /// <param name="row">The row.</param>
    /// <param name="shape">Its shape; <see cref="DataShape.Auto"/> to recognise it.</param>
    /// <exception cref="InputException">The row is not of the shape, or of none that is known.</exception>
    public static IReadOnlyDictionary<string, string> Read(JsonObject row, DataShape shape)
    {
        ArgumentNullException.ThrowIfNull(row);
        var found = Recognise(row);
        var chosen = shape == DataShape.Auto ? found ?? throw Unknown(row) : shape;
        var fields = chosen switch
        {
            DataShape.Alpaca => Talk(Instructions.Alpaca(row, Need(row, promptKeys, chosen), Need(row, answerKeys, chosen)), row),
            DataShape.Belle => Talk(Instructions.Belle(row, Need(row, promptKeys, chosen), Need(row, answerKeys, chosen)), row),
            DataShape.Sharegpt or DataShape.Messages => Talk(Messages(row, Need(row, talkKeys, chosen)), row),
            DataShape.Preference => PreferenceShape.Read(row, Prompt),
            DataShape.Kto => Judged(row),
            DataShape.Labelled =>
                new() { ["text"] = Text(row[Need(row, textKeys, chosen)]), ["label"] = Text(row[Need(row, labelKeys, chosen)]) },
            _ => new() { ["text"] = Text(row[Need(row, textKeys, chosen)]) },
        };
        return fields;
    }

    /// <summary>A value as text.</summary>
    /// <param name="value">The value.</param>
    internal static string Text(JsonNode? value) => value switch
    {
        null => "",
        JsonValue plain when plain.GetValueKind() == JsonValueKind.String => plain.GetValue<string>(),
        _ => value.ToJsonString(TableJson.Options),
    };

    private static string? Key(JsonObject row, string[] names) =>
        names.FirstOrDefault(name => row.TryGetPropertyValue(name, out var value) && value is not null);

    private static string Need(JsonObject row, string[] names, DataShape shape) => Key(row, names)
        ?? throw new InputException($"A row of the shape {Name(shape)} needs one of {string.Join(", ", names)}; this one has "
            + $"{string.Join(", ", row.Select(field => field.Key).Take(20))}. Choose another shape, or name the fields under 'fields'.");

    private static string Name(DataShape shape) => JsonNamingPolicy.CamelCase.ConvertName(shape.ToString());

    private static InputException Unknown(JsonObject row) => new(
        "The shape of the rows is not recognised: they have "
            + $"{(row.Count == 0 ? "no fields" : string.Join(", ", row.Select(field => field.Key).Take(20)))}. Known are alpaca "
            + "(instruction, output), belle, sharegpt (conversations), messages, preference (chosen, rejected), kto (label), text and "
            + "labelled (text, label). Name the row's own fields under 'fields' of a recipe's data instead.");

    private static bool? Flag(JsonObject row)
    {
        foreach (var name in new[] { "label", "kto_tag" })
            if (row.TryGetPropertyValue(name, out var value) && value is JsonValue plain
                && plain.GetValueKind() is JsonValueKind.True or JsonValueKind.False)
                return value!.GetValueKind() == JsonValueKind.True;
        return null;
    }

    private static bool IsBelle(string instruction) => instruction.TrimStart().StartsWith("Human:", StringComparison.Ordinal)
        && instruction.Contains("Assistant:", StringComparison.Ordinal);

    private static JsonArray Messages(JsonObject row, string key)
    {
        var messages = MessageReading.Read(row[key]);
        if (Text(row["system"]) is { Length: > 0 } system && messages[0]?["role"]?.ToString() != "system")
            messages.Insert(0, Templates.Dialogue.Message("system", system));
        return messages;
    }

    private static JsonArray Prompt(JsonObject row)
    {
        if (Key(row, talkKeys) is { } talk) return Messages(row, talk);
        if (Key(row, promptKeys) is not { } key) return [];
        return row[key] is JsonArray ? Messages(row, key) : Instructions.Alpaca(row, key, null);
    }

    private static Dictionary<string, string> Judged(JsonObject row)
    {
        var messages = Prompt(row);
        if (Key(row, answerKeys) is { } answer)
        {
            if (row[answer] is JsonArray or JsonObject)
                foreach (var message in MessageReading.Read(row[answer])) messages.Add(message!.DeepClone());
            else messages.Add(Templates.Dialogue.Message("assistant", Text(row[answer])));
        }
        var fields = Talk(messages, row);
        fields["label"] = Flag(row) switch
        {
            true => "true",
            false => "false",
            null => throw new InputException("A row of the shape kto has neither 'label' nor 'kto_tag' with true or false; it has "
                + $"{string.Join(", ", row.Select(field => field.Key).Take(20))}. Choose another shape."),
        };
        return fields;
    }

    private static Dictionary<string, string> Talk(JsonArray messages, JsonObject row)
    {
        var fields = new Dictionary<string, string>(
            StringComparer.Ordinal) { ["messages"] = messages.ToJsonString(TableJson.Options), ["tools"] = "" };
        var tools = row["tools"] is JsonValue text && text.GetValueKind() == JsonValueKind.String && text.ToString().Trim().Length > 0
            ? MessageReading.Parse(text.ToString())
            : row["tools"];
        if (tools is JsonArray { Count: > 0 }) fields["tools"] = tools.ToJsonString(TableJson.Options);
        return fields;
    }
}
