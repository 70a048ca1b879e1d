using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Checks the columns of a row that its shape did not use: they are reported once for the source, and refused when they change the meaning
/// of the row.
/// </summary>
internal static class LeftoverColumns
{
    /// <summary>Checks the unused columns of a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="read">The part that was read.</param>
    /// <exception cref="InputException">There is a second answer, or there are media.</exception>
    public static void Tell(SourceRow row, IReadOnlyList<Dictionary<string, string>> read)
    {
        // A text has no answer, so there can be no second one.
        var talks = read[0].ContainsKey("messages");
        foreach (var name in row.Left.ToList())
        {
            if (ShapeKeys.Talk.Contains(name) && Repeats(row, name, read[0]))
                continue;
            if (ShapeKeys.IsMedia(name))
                throw Refused(row, name, "a language model does not read it");
            if (talks && ShapeKeys.IsAnswer(name) && !read.Any(fields => Says(fields, row.Values[name]!.ToString())))
                throw Refused(row, name, "it is a second answer");
            if (ShapeKeys.Flag.Contains(name) && AnswerFlag.Of(row.Values[name]) == false && talks)
                throw Refused(row, name, "it says that the answer is not good");
            row.Report.Count($"column '{name}' is not used", row.Place.ToString());
        }
        foreach (var name in row.Values.Select(pair => pair.Key).Where(row.Rules.Ignores))
            row.Report.Count($"column '{name}' is ignored", row.Place.ToString());
    }

    // Whether an answer is in what was read, alone or within a longer one.
    private static bool Says(Dictionary<string, string> fields, string answer) =>
        fields.ContainsValue(answer)
        || JsonNode.Parse(fields["messages"])!.AsArray().Any(message => message?["role"]?.ToString() == "assistant"
            && message["content"]?.ToString().Contains(answer.Trim(), StringComparison.Ordinal) == true);

    // The conversation with the better answer, in addition to its prompt and answers.
    private static bool Repeats(SourceRow row, string name, Dictionary<string, string> read)
    {
        if (!read.TryGetValue("chosen", out var chosen) || !MessageReading.IsList(row, row.Values[name]))
            return false;
        var texts = MessageReading.Read(row, row.Values[name], name).Select(message => message?["content"]?.ToString() ?? "").ToList();
        return texts.Count > 0 && texts[^1] == chosen;
    }

    private static InputException Refused(SourceRow row, string name, string why) => row.Fault(
        $"column '{name}' holds {SourceRow.Short(row.Values[name])}, and {why}. "
        + $"Leave such rows out with where, say what it is under fields, or read the rows without it: ignore: [{name}] (--ignore {name}).");
}
