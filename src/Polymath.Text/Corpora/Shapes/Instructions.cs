using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Instructions with answers, as Alpaca and Belle publish them.</summary>
internal static partial class Instructions
{
    /// <summary>A system message, the history, and the instruction with its input; the answer, where there is one.</summary>
    public static JsonArray Alpaca(JsonObject row, string prompt, string? answer)
    {
        var messages = new JsonArray();
        if (RowShape.Text(row["system"]) is { Length: > 0 } system) messages.Add(Dialogue.Message("system", system));
        foreach (var turn in row["history"] as JsonArray ?? [])
        {
            if (turn is not JsonArray { Count: 2 } pair)
                throw new InputException("'history' must be a list of pairs [question, answer]. Correct the rows.");
            messages.Add(Dialogue.Message("user", RowShape.Text(pair[0])));
            messages.Add(Dialogue.Message("assistant", RowShape.Text(pair[1])));
        }
        var input = RowShape.Text(row["input"]);
        messages.Add(Dialogue.Message("user", RowShape.Text(row[prompt]) + (input.Length > 0 ? "\n" + input : "")));
        if (answer is not null) messages.Add(Dialogue.Message("assistant", RowShape.Text(row[answer])));
        return messages;
    }

    /// <summary>Several turns written into the instruction as <c>Human:</c> and <c>Assistant:</c>; the last answer stands apart.</summary>
    public static JsonArray Belle(JsonObject row, string prompt, string answer)
    {
        var messages = new JsonArray();
        var text = RowShape.Text(row[prompt]);
        var marks = Mark().Matches(text);
        for (var i = 0; i < marks.Count; i++)
        {
            var said = text[(marks[i].Index + marks[i].Length)..(i + 1 < marks.Count ? marks[i + 1].Index : text.Length)].Trim();
            // The last mark asks for the answer.
            if (said.Length > 0 || i + 1 < marks.Count)
                messages.Add(Dialogue.Message(marks[i].Groups[1].Value == "Human" ? "user" : "assistant", said));
        }
        if (messages.Count == 0) return Alpaca(row, prompt, answer);
        messages.Add(Dialogue.Message("assistant", RowShape.Text(row[answer])));
        return messages;
    }

    [GeneratedRegex(@"(?:^|\n)\s*(Human|Assistant)[:：]")]
    private static partial Regex Mark();
}
