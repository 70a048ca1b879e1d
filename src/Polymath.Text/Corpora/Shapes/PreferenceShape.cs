using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>
/// Pairs of a better and a worse answer: texts, messages, whole conversations that share their beginning, or transcripts.
/// </summary>
internal static class PreferenceShape
{
    /// <summary>The prompt's messages and both answers.</summary>
    /// <param name="row">The row.</param>
    /// <param name="better">The column of the better answer, or of the conversation that ends with it.</param>
    /// <param name="worse">The column of the worse answer.</param>
    public static Dictionary<string, string> Read(SourceRow row, string better, string worse)
    {
        var prompt = TalkShape.Prompt(row);
        // A conversation with the better answer as its last message.
        var (chosen, rejected) = better == worse ? TakenFrom(row, prompt, worse) : (Side(row, better), Side(row, worse));
        DropRepeated(prompt, chosen);
        DropRepeated(prompt, rejected);
        RequireOpen(row, prompt, better, worse);
        Split(row, prompt, chosen, rejected);
        if (prompt.Count == 0)
        {
            throw row.Fault(
                "a preference has no prompt: neither prompt, instruction nor messages, and the answers share no message. "
                + "Correct the row, or name the column of the prompt: fields: {prompt: COLUMN}.");
        }
        Require(row, chosen, better);
        Require(row, rejected, worse);
        var fields = TalkShape.Fields(row, prompt);
        Put(fields, "chosen", chosen);
        Put(fields, "rejected", rejected);
        if (row.Values[ShapeKeys.Gold] is JsonValue gold && gold.GetValueKind() == System.Text.Json.JsonValueKind.String)
            Put(fields, ShapeKeys.Gold, Side(row, ShapeKeys.Gold));
        if (row.Take(ShapeKeys.Margin) is { } margin) fields[ShapeKeys.Margin] = margin.ToString();
        return fields;
    }

    // ms-swift: the messages end with the better answer, and the worse one is in its own column.
    private static (JsonArray Chosen, JsonArray Rejected) TakenFrom(SourceRow row, JsonArray prompt, string worse)
    {
        if (prompt.LastOrDefault()?["role"]?.ToString() != "assistant")
            throw row.Fault($"'{worse}' is a worse answer, but there is no better one: the messages do not end with an answer. Correct "
                + "the row.");
        var worseSide = Side(row, worse);
        JsonArray chosen = [];
        // When the worse side is a whole conversation, the better one is, too.
        if (worseSide[0]?["role"]?.ToString() != "assistant")
        {
            chosen = prompt.DeepClone().AsArray();
            prompt.Clear();
            return (chosen, worseSide);
        }
        while (prompt.Count > 0 && prompt[^1]!["role"]!.ToString() is "assistant" or "tool")
        {
            chosen.Insert(0, prompt[^1]!.DeepClone());
            prompt.RemoveAt(prompt.Count - 1);
        }
        return (chosen, worseSide);
    }

    private static JsonArray Side(SourceRow row, string column)
    {
        var value = row.Take(column);
        if (value is JsonValue text && Instructions.IsTranscript(text.ToString()))
            return [.. Instructions.Transcript(text.ToString())];
        return AnswerReading.One(row, value, column);
    }

    // An answer that follows another is no answer to the prompt.
    private static void RequireOpen(SourceRow row, JsonArray prompt, string better, string worse)
    {
        if (prompt.LastOrDefault() is { } last && last["role"]?.ToString() == "assistant")
            throw row.Fault($"the messages before '{better}' and '{worse}' end with an answer that is neither of the two: "
                + $"{SourceRow.Short(last["content"])}. Correct the row: end them with what the user says.");
    }

    // Messages that end with an answer which is also in its own column.
    private static void DropRepeated(JsonArray prompt, JsonArray chosen)
    {
        if (prompt.Count > 0 && prompt[^1]!["role"]!.ToString() == "assistant" && Same(prompt[^1], chosen.LastOrDefault()))
            prompt.RemoveAt(prompt.Count - 1);
    }

    // The common start of both conversations is the prompt, even when the prompt is also in its own column.
    private static void Split(SourceRow row, JsonArray prompt, JsonArray chosen, JsonArray rejected)
    {
        var shared = 0;
        while (shared < Math.Min(chosen.Count, rejected.Count) - 1 && Same(chosen[shared], rejected[shared]))
            shared++;
        // With a separate prompt, an answer of several turns is kept whole.
        if (prompt.Count > 0 && shared > 0 && chosen[0]!["role"]!.ToString() == "assistant")
            shared = 0;
        var first = chosen.Take(shared).ToList();
        if (prompt.Count == 0)
        {
            foreach (var message in first)
                prompt.Add(message!.DeepClone());
        }
        else if (first.Count > 0 && !Ends(prompt, first))
        {
            throw row.Fault("the prompt and the conversations that end with the answers begin differently. Correct the row, or leave one "
                + "out with ignore: [prompt].");
        }
        for (var i = 0; i < shared; i++)
        {
            chosen.RemoveAt(0);
            rejected.RemoveAt(0);
        }
    }

    // The prompt may have a system message that the conversations lack, or the conversations may have one before the prompt.
    private static bool Ends(JsonArray prompt, List<JsonNode?> first)
    {
        var length = Math.Min(prompt.Count, first.Count);
        var alike = Enumerable.Range(1, length).All(back => Same(prompt[prompt.Count - back], first[first.Count - back]));
        if (!alike)
            return false;
        for (var i = first.Count - length - 1; i >= 0; i--)
            prompt.Insert(0, first[i]!.DeepClone());
        return true;
    }

    private static bool Same(JsonNode? one, JsonNode? two) =>
        one?["role"]?.ToString() == two?["role"]?.ToString() && one?["content"]?.ToString().Trim() == two?["content"]?.ToString().Trim()
        && JsonNode.DeepEquals(one?["tool_calls"], two?["tool_calls"]);

    private static void Require(SourceRow row, JsonArray answer, string column)
    {
        if (answer.Count == 0 || answer[0]!["role"]!.ToString() != "assistant" || answer[^1]!["role"]!.ToString() != "assistant")
            throw row.Fault($"'{column}' does not begin and end with an answer after the prompt. Correct the row: messages of the "
                + "assistant, with the user's between them.");
    }

    private static void Put(Dictionary<string, string> fields, string name, JsonArray turns)
    {
        fields[name] = turns[^1]!["content"]?.ToString() ?? "";
        var plain = turns.Count == 1 && turns[0]!.AsObject().All(pair => pair.Key is "role" or "content");
        fields[name + RowTalk.Turns] = plain ? "" : turns.ToJsonString(JsonLayout.Line);
    }
}
