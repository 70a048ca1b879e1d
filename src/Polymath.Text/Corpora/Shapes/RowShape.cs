using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Recognises the shapes of published data and converts them to one form. Everything in a row is in that form, or is reported, or is
/// refused: nothing is lost silently.
/// </summary>
public static class RowShape
{
    /// <summary>The shape of a row; null when it is unknown.</summary>
    /// <param name="row">The row.</param>
    public static DataShape? Recognise(SourceRow row)
    {
        ArgumentNullException.ThrowIfNull(row);
        var rejected = row.Find(ShapeKeys.Rejected);
        var (talk, prompt, answer) = (row.Find(ShapeKeys.Talk), row.Find(ShapeKeys.Prompt), row.Find(ShapeKeys.Answer));
        var talks = talk is not null && (row.Values[talk] is JsonArray or JsonObject || MessageReading.IsList(row, row.Values[talk]));
        var worse = rejected is not null && row.Values[rejected] is not null;
        // Both columns may be null in rows that have another answer.
        if (rejected is not null && row.Find(ShapeKeys.Chosen) is not null && (worse || answer is null))
            return DataShape.Preference;
        if (worse && (talks || answer is not null))
            return DataShape.Preference;
        if ((talks || ((prompt ?? row.Find(ShapeKeys.Input)) is not null && answer is not null)) && Flag(row) is not null)
            return DataShape.Kto;
        if (prompt is not null && IsList(row, ShapeKeys.Steps) && IsList(row, ShapeKeys.StepLabels))
            return DataShape.Steps;
        if (talks)
            return First(row.Values[talk!])?.ContainsKey("from") == true ? DataShape.Sharegpt : DataShape.Messages;
        if (prompt is not null && (answer ?? row.Find(ShapeKeys.Summary) ?? row.Find(ShapeKeys.Text)) is not null)
            return row.Values[prompt] is JsonValue text && Instructions.IsTranscript(text.ToString()) ? DataShape.Belle : DataShape.Alpaca;
        if (row.Find(ShapeKeys.Input) is not null && answer is not null)
            return DataShape.Alpaca;
        if (row.Find(ShapeKeys.Summary) is not null && row.Find(ShapeKeys.Summarized) is not null)
            return DataShape.Alpaca;
        if (row.Find(ShapeKeys.Text) is null)
            return null;
        return row.Find(ShapeKeys.Label) is { } label && row.Values[label] is not null ? DataShape.Labelled : DataShape.Text;
    }

    /// <summary>Converts a row to the one form.</summary>
    /// <param name="row">The row.</param>
    /// <param name="shape">Its shape; <see cref="DataShape.Auto"/> to recognise it.</param>
    /// <returns>The resulting rows: several when several answers are accepted.</returns>
    /// <exception cref="InputException">The row does not have the shape or any known one, or it has something that changes its meaning and
    /// cannot be learned.</exception>
    public static IReadOnlyList<ShapedRow> Read(SourceRow row, DataShape shape)
    {
        ArgumentNullException.ThrowIfNull(row);
        var chosen = shape == DataShape.Auto ? Recognise(row) ?? throw Unknown(row) : shape;
        IReadOnlyList<Dictionary<string, string>> read = chosen switch
        {
            DataShape.Alpaca or DataShape.Belle => Asked(row, chosen),
            DataShape.Sharegpt or DataShape.Messages => [TalkShape.Fields(row, TalkShape.Messages(row, Need(row, ShapeKeys.Talk, chosen)))],
            DataShape.Preference => [Preferred(row, chosen)],
            DataShape.Kto => Judged(row, chosen),
            DataShape.Steps => [Worked(row, chosen)],
            DataShape.Labelled => [Labelled(row, chosen)],
            _ => [Written(row, chosen)],
        };
        LeftoverColumns.Tell(row, read);
        return [.. read.Select(fields => new ShapedRow(chosen, fields))];
    }

    // The first of some columns that the row has. Its value may be null, which is reported when it is read.
    private static string Need(SourceRow row, string[] names, DataShape shape) => row.Find(names) ?? throw row.Fault(
        $"a row of the shape {Name(shape)} needs one of {string.Join(", ", names)}; this one has {row.Columns}.{row.Missing} "
        + $"Choose another shape, or say which column it is: fields: {{{names[0]}: COLUMN}}.");

    private static string Words(SourceRow row, string column) => row.Values[column] is null
        ? throw row.Fault($"'{row.Said(column)}' is null. Correct the row, or leave such rows out with where: [{{field: "
            + $"{row.Said(column)}, minimumLength: 1}}].")
        : row.TakeText(column);

    private static List<Dictionary<string, string>> Asked(SourceRow row, DataShape shape)
    {
        var summary = row.Find(ShapeKeys.Summary);
        var prompt = row.Find(ShapeKeys.Prompt)
            ?? (summary is null ? row.Find(ShapeKeys.Input) : row.Find(ShapeKeys.Summarized)) ?? Need(row, ShapeKeys.Prompt, shape);
        var answer = row.Find(ShapeKeys.Answer) ?? summary
            ?? row.Find([.. ShapeKeys.Text.Where(name => name != prompt)]) ?? Need(row, ShapeKeys.Answer, shape);
        if (row.Values[prompt] is null)
            throw row.Fault($"'{row.Said(prompt)}' is null: the row asks nothing. Correct it, or leave such rows out with where: "
                + $"[{{field: {row.Said(prompt)}, minimumLength: 1}}].");
        JsonArray asked;
        if (MessageReading.IsList(row, row.Values[prompt]))
            asked = TalkShape.Messages(row, prompt);
        else
            asked = shape == DataShape.Belle ? Instructions.Belle(row, prompt) : Instructions.Asked(row, prompt);
        return Answered(row, asked, answer);
    }

    private static List<Dictionary<string, string>> Answered(SourceRow row, JsonArray asked, string answer)
    {
        var rows = new List<Dictionary<string, string>>();
        foreach (var said in AnswerReading.Several(row, answer))
        {
            var whole = asked.DeepClone().AsArray();
            foreach (var message in said)
                whole.Add(message!.DeepClone());
            rows.Add(TalkShape.Fields(row, whole));
        }
        return rows;
    }

    private static Dictionary<string, string> Preferred(SourceRow row, DataShape shape)
    {
        var worse = Need(row, ShapeKeys.Rejected, shape);
        var better = row.Find(ShapeKeys.Chosen) ?? row.Find(ShapeKeys.Answer);
        return PreferenceShape.Read(row, better ?? worse, worse);
    }

    private static bool IsList(SourceRow row, string[] names) => row.Find(names) is { } found && row.Values[found] is JsonArray;

    private static Dictionary<string, string> Worked(SourceRow row, DataShape shape)
    {
        string steps = Need(row, ShapeKeys.Steps, shape), labels = Need(row, ShapeKeys.StepLabels, shape);
        var fields = TalkShape.Fields(row, TalkShape.Prompt(row));
        if (row.Take(steps) is not JsonArray { Count: > 0 } said || row.Take(labels) is not JsonArray right || right.Count != said.Count)
            throw row.Fault($"'{steps}' and '{labels}' are not two lists of the same length: for each step, whether it is right. Correct "
                + "the row.");
        fields[ShapeKeys.Steps[0]] = said.ToJsonString(JsonLayout.Line);
        var judged = right.Select(label => AnswerFlag.Of(label)
            ?? throw row.Fault($"'{labels}' has {SourceRow.Short(label)}, which does not say whether a step is right. Write "
                + $"{AnswerFlag.Words}."));
        fields[ShapeKeys.StepLabels[0]] = new JsonArray([.. judged.Select(one => (JsonNode)one)]).ToJsonString();
        return fields;
    }

    private static List<Dictionary<string, string>> Judged(SourceRow row, DataShape shape)
    {
        var key = Flag(row) ?? Need(row, ShapeKeys.Flag, shape);
        var good = AnswerFlag.Of(row.Take(key))
            ?? throw row.Fault($"'{key}' is {SourceRow.Short(row.Values[key])}, which does not say whether the answer is good. Write "
                + $"{AnswerFlag.Words}.");
        var prompt = TalkShape.Prompt(row);
        // The messages may already end with the answer.
        var answer = row.Find(ShapeKeys.Answer);
        if (answer is not null && prompt.LastOrDefault()?["role"]?.ToString() == "assistant")
            answer = null;
        var rows = answer is not null ? Answered(row, prompt, answer) : [TalkShape.Fields(row, prompt)];
        foreach (var fields in rows)
            fields["label"] = good ? "true" : "false";
        return rows;
    }

    // The first column that says whether the answer is good.
    private static string? Flag(SourceRow row) =>
        ShapeKeys.Flag.FirstOrDefault(name => !row.Rules.Ignores(name) && AnswerFlag.Of(row.Values[name]) is not null);

    private static Dictionary<string, string> Written(SourceRow row, DataShape shape)
    {
        MessageWeight.RefuseTexts(row);
        return new() { ["text"] = Words(row, Need(row, ShapeKeys.Text, shape)) };
    }

    private static Dictionary<string, string> Labelled(SourceRow row, DataShape shape)
    {
        MessageWeight.RefuseTexts(row);
        var text = Words(row, Need(row, ShapeKeys.Text, shape));
        return new() { ["text"] = text, ["label"] = Words(row, Need(row, ShapeKeys.Label, shape)) };
    }

    private static JsonObject? First(JsonNode? value) => value switch
    {
        JsonArray { Count: > 0 } list => list[0] as JsonObject,
        JsonObject one => one,
        JsonValue text when JsonValues.Parse(text.ToString()) is { } node and not JsonValue => First(node),
        _ => null,
    };

    private static string Name(DataShape shape) => JsonNamingPolicy.CamelCase.ConvertName(shape.ToString());

    private static InputException Unknown(SourceRow row)
    {
        // A file that is one object with the rows inside is read as one row.
        if (row.Values.FirstOrDefault(pair => pair.Value is JsonArray { Count: > 0 } list && list[0] is JsonObject) is { Key: { } key })
            return row.Fault($"the row holds a list of objects under '{key}'. If those are the rows, save that list alone as the file; "
                + "else name the row's columns by those of a shape, such as fields: {messages: " + key + "}.");
        return Unnamed(row);
    }

    private static InputException Unnamed(SourceRow row) => row.Fault(
        $"the shape of the row is not recognised: it has {row.Columns}.{row.Missing} Known are alpaca (instruction, output), belle, "
            + "sharegpt (conversations), messages, preference (chosen, rejected), kto (label), text and labelled (text, label). Name its "
            + "columns by those of a shape, such as fields: {prompt: COLUMN, answer: COLUMN} (--field prompt=COLUMN).");
}
