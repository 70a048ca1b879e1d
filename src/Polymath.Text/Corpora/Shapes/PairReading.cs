using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Text;

/// <summary>Reads a question and its answer that are in one object, among messages or in a history.</summary>
internal static class PairReading
{
    private static readonly (string Ask, string Answer)[] pairs =
    [
        ("human", "assistant"),
        ("user", "assistant"),
        ("instruction", "output"),
        ("question", "answer"),
        ("query", "response"),
        ("prompt", "response"),
        ("input", "output"),
    ];

    /// <summary>The messages of an object: its system message, its question and its answer; null when it holds no such pair.</summary>
    /// <param name="row">The row.</param>
    /// <param name="both">The object.</param>
    /// <param name="where">Its name in messages.</param>
    /// <exception cref="InputException">One of the two is null, or the object has something that cannot be learned.</exception>
    internal static List<JsonObject>? Of(SourceRow row, JsonObject both, string where)
    {
        var (ask, answer) = Array.Find(pairs, keys => both.ContainsKey(keys.Ask) && both.ContainsKey(keys.Answer));
        if (ask is null)
            return null;
        if (both[ask] is null || both[answer] is null)
            throw row.Fault($"'{(both[ask] is null ? ask : answer)}' of a message is null ({where}). Correct the row, or leave it out with "
                + "where.");
        var said = new List<JsonObject>();
        if (both["system"] is { } system && !row.Rules.IgnoresInside("system"))
            said.Add(Dialogue.Message("system", row.TextOf(system, "system")));
        var inputs = ShapeKeys.Input.Where(name => name != ask && !row.Rules.IgnoresInside(name)).ToList();
        var question = inputs.Select(name => row.TextOf(both[name], name)).Prepend(row.TextOf(both[ask], ask));
        said.Add(Dialogue.Message("user", string.Join("\n", question.Where(text => text.Length > 0))));
        var reply = Dialogue.Message("assistant", row.TextOf(both[answer], answer));
        MessageWeight.Put(row, both, reply, answer);
        said.Add(reply);
        TellOthers(row, both, [ask, answer, "system", .. inputs], where);
        return said;
    }

    private static void TellOthers(SourceRow row, JsonObject both, string[] read, string where)
    {
        foreach (var (key, value) in both)
        {
            if (read.Contains(key) || MessageWeight.IsKey(key) || SourceRow.IsBlank(value))
                continue;
            MessageReading.RefuseMedia(row, key, value, where);
            row.Report.Count($"key '{key}' of messages is {(row.Rules.IgnoresInside(key) ? "ignored" : "not used")}", row.Place.ToString());
        }
    }
}
