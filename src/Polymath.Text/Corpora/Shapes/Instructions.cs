using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Instructions with answers, as Alpaca and Belle publish them.</summary>
internal static partial class Instructions
{
    /// <summary>A system message, the history, and the instruction with its input.</summary>
    /// <param name="row">The row.</param>
    /// <param name="prompt">The column of the instruction.</param>
    public static JsonArray Asked(SourceRow row, string prompt)
    {
        var messages = Before(row);
        var parts = ShapeKeys.Input.Where(name => name != prompt).Select(row.TakeText)
            .Prepend(row.TakeText(prompt)).Where(text => text.Length > 0);
        messages.Add(Dialogue.Message("user", string.Join("\n", parts)));
        return messages;
    }

    /// <summary>
    /// Several turns that are written into the instruction as <c>Human:</c> and <c>Assistant:</c>; the last answer is separate.
    /// </summary>
    /// <param name="row">The row.</param>
    /// <param name="prompt">The column of the instruction.</param>
    public static JsonArray Belle(SourceRow row, string prompt)
    {
        var turns = Transcript(row.TakeText(prompt));
        if (turns.Count == 0)
            return Asked(row, prompt);
        var messages = Before(row);
        foreach (var input in ShapeKeys.Input)
        {
            if (row.TakeText(input) is { Length: > 0 } more && turns[^1] is { } last)
                last["content"] = $"{last["content"]}\n{more}";
        }
        foreach (var turn in turns)
            messages.Add(turn);
        return messages;
    }

    /// <summary>Whether a text holds turns marked by <c>Human:</c> and <c>Assistant:</c>.</summary>
    /// <param name="text">The text.</param>
    public static bool IsTranscript(string text) =>
        Mark().Matches(text) is { Count: > 1 } marks && marks[0].Groups[1].Value == "Human"
        && string.IsNullOrWhiteSpace(text[..marks[0].Index]);

    /// <summary>
    /// The turns of a text that marks them by <c>Human:</c> and <c>Assistant:</c>; empty when it does not. A mark at the end asks for an
    /// answer.
    /// </summary>
    /// <param name="text">The text.</param>
    public static List<JsonObject> Transcript(string text)
    {
        var turns = new List<JsonObject>();
        var marks = Mark().Matches(text);
        // When there is text before the first mark, it is not a transcript.
        if (marks.Count > 0 && !string.IsNullOrWhiteSpace(text[..marks[0].Index]))
            return turns;
        for (var i = 0; i < marks.Count; i++)
        {
            var end = i + 1 < marks.Count ? marks[i + 1].Index : text.Length;
            var said = text[(marks[i].Index + marks[i].Length)..end].Trim();
            if (said.Length > 0 || i + 1 < marks.Count)
                turns.Add(Dialogue.Message(marks[i].Groups[1].Value == "Human" ? "user" : "assistant", said));
        }
        return turns;
    }

    /// <summary>The system message and the history of a row.</summary>
    private static JsonArray Before(SourceRow row)
    {
        var messages = new JsonArray();
        if (row.TakeText(row.Find(ShapeKeys.System)) is { Length: > 0 } system)
            messages.Add(Dialogue.Message("system", system));
        foreach (var name in ShapeKeys.History)
        {
            var history = row.Take(name);
            if (SourceRow.IsBlank(history))
                continue;
            if (history is JsonValue text)
                history = JsonValues.Parse(text.ToString());
            if (history is not JsonArray turns)
                throw row.Fault($"'{name}' must be a list of pairs [question, answer]; it is {SourceRow.Short(row.Values[name])}. Correct "
                    + "the row.");
            foreach (var turn in turns)
                AddTurn(row, messages, turn, name);
        }
        return messages;
    }

    private static void AddTurn(SourceRow row, JsonArray messages, JsonNode? turn, string name)
    {
        if (turn is JsonObject message && (message.ContainsKey("role") || message.ContainsKey("from")))
        {
            foreach (var one in MessageReading.Read(row, message.DeepClone(), name))
                messages.Add(one!.DeepClone());
            return;
        }
        if (turn is JsonObject both && PairReading.Of(row, both, $"a pair of '{name}'") is { } said)
        {
            foreach (var one in said)
                messages.Add(one);
            return;
        }
        if (turn is not JsonArray { Count: 2 } pair || pair.Any(side => side is null))
            throw row.Fault($"'{name}' must be a list of pairs [question, answer]; one is {SourceRow.Short(turn)}. Correct the row.");
        messages.Add(Dialogue.Message("user", row.TextOf(pair[0], name)));
        messages.Add(Dialogue.Message("assistant", row.TextOf(pair[1], name)));
    }

    [GeneratedRegex(@"(?:^|\n)\s*(Human|Assistant)[:：]")]
    private static partial Regex Mark();
}
