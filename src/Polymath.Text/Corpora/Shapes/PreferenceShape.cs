using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Pairs of a better and a worse answer: flat texts, single messages, or whole conversations that share their beginning.</summary>
internal static class PreferenceShape
{
    /// <summary>The prompt's messages and both answers.</summary>
    public static Dictionary<string, string> Read(JsonObject row, Func<JsonObject, JsonArray> promptOf)
    {
        var prompt = promptOf(row);
        var (chosen, rejected) = (row["chosen"], row["rejected"]);
        if (chosen is JsonArray better && rejected is JsonArray worse)
        {
            var (a, b) = (MessageReading.Read(better), MessageReading.Read(worse));
            // Without a prompt of its own, the messages that both share are the prompt.
            var shared = 0;
            while (prompt.Count == 0 && shared < Math.Min(a.Count, b.Count) - 1 && JsonNode.DeepEquals(a[shared], b[shared])) shared++;
            if (prompt.Count == 0) prompt = [.. a.Take(shared).Select(message => message!.DeepClone())];
            (chosen, rejected) = (a[^1]!["content"], b[^1]!["content"]);
        }
        else if (chosen is JsonObject && rejected is JsonObject)
            (chosen, rejected) = (MessageReading.Read(chosen)[0]!["content"], MessageReading.Read(rejected)[0]!["content"]);
        if (prompt.Count == 0)
            throw new InputException("A preference has no prompt: neither prompt, instruction nor conversations, and the answers share no "
                + "message. Correct the rows.");
        return new(StringComparer.Ordinal)
        {
            ["messages"] = prompt.ToJsonString(TableJson.Options),
            ["chosen"] = RowShape.Text(chosen),
            ["rejected"] = RowShape.Text(rejected),
        };
    }
}
