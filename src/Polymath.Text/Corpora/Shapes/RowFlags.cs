using System.Text.Json.Nodes;

namespace Polymath.Text;

/// <summary>Columns of a whole row that say whether, or how much, it is to be learned.</summary>
public static class RowFlags
{
    /// <summary>What a column says against learning its row like the others, as a clause; null when it says nothing like that.</summary>
    /// <param name="name">The column.</param>
    /// <param name="value">Its value as text.</param>
    /// <param name="answers">Whether the row has an answer, which may be good or bad; a label of a mere text is a class.</param>
    public static string? Say(string name, string value, bool answers)
    {
        if (answers && ShapeKeys.Flag.Contains(name) && AnswerFlag.Of(JsonValue.Create(value)) == false)
            return "it says that the answer is not good";
        return MessageWeight.OfRow(name, JsonValue.Create(value)) is { } weight && weight != 1
            ? "it says that the row is not learned like the others"
            : null;
    }
}
