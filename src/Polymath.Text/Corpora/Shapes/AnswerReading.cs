using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Answers: a text, messages, or several that are all accepted.</summary>
internal static class AnswerReading
{
    /// <summary>The answers of a column, each as the messages that it adds.</summary>
    /// <param name="row">The row.</param>
    /// <param name="column">The column; it is marked as used.</param>
    /// <returns>At least one; each of several answers makes a row.</returns>
    /// <exception cref="InputException">The answer is null or empty.</exception>
    public static IReadOnlyList<JsonArray> Several(SourceRow row, string column)
    {
        var value = row.Take(column);
        if (value is null)
            throw row.Fault($"'{row.Said(column)}' is null: the row has no answer. Correct it, or leave such rows out with where: "
                + $"[{{field: {row.Said(column)}, minimumLength: 1}}].");
        // SQuAD: the texts, and the place of each in the context.
        if (value is JsonObject found && found["text"] is JsonArray texts)
            value = texts;
        if (value is JsonArray { Count: 0 })
            throw row.Fault($"'{column}' is empty: the row has no answer. Correct it, or leave such rows out with where.");
        if (value is not JsonArray list || list.Count == 0 || list.Any(item => item is not JsonValue))
            return [One(row, value, column)];
        var answers = list.Select(item => row.TextOf(item, column)).Distinct(StringComparer.Ordinal).ToList();
        if (answers.Count > 1)
            row.Report.Count($"several answers in '{column}', each a row of its own", row.Place.ToString());
        return [.. answers.Select(answer => new JsonArray(Dialogue.Message("assistant", answer)))];
    }

    /// <summary>One answer.</summary>
    /// <param name="row">The row.</param>
    /// <param name="value">A text, or messages.</param>
    /// <param name="column">Its name in messages.</param>
    public static JsonArray One(SourceRow row, JsonNode? value, string column)
    {
        if (value is null)
            throw row.Fault($"'{column}' is null: the row has no answer. Correct it, or leave such rows out with where.");
        if (MessageReading.IsList(row, value) || value is JsonArray { Count: 0 })
            return MessageReading.Read(row, value, column);
        return [Dialogue.Message("assistant", row.TextOf(value, column))];
    }
}
