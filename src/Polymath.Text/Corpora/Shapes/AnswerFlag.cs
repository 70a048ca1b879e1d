using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text;

/// <summary>Reads whether an answer is good, in all the forms that data has: true and false, 1 and 0, words.</summary>
internal static class AnswerFlag
{
    private static readonly string[] Good =
        ["true", "yes", "good", "1", "+1", "1.0", "positive", "chosen", "accepted", "desirable", "like", "up", "thumbs_up", "好", "是", "赞"];

    private static readonly string[] Bad =
        [
            "false", "no", "bad", "0", "-1", "0.0", "negative", "rejected", "undesirable", "dislike", "down", "thumbs_down", "坏", "差", "否",
            "踩",
        ];

    /// <summary>The meaning of a value; null when it has neither.</summary>
    /// <param name="value">The value.</param>
    public static bool? Of(JsonNode? value)
    {
        if (value is not JsonValue plain)
            return null;
        switch (plain.GetValueKind())
        {
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            case JsonValueKind.Number or JsonValueKind.String:
                var word = plain.ToString().Trim();
                if (Good.Contains(word, StringComparer.OrdinalIgnoreCase))
                    return true;
                return Bad.Contains(word, StringComparer.OrdinalIgnoreCase) ? false : null;
            default:
                return null;
        }
    }

    /// <summary>The words, for messages.</summary>
    public static string Words => $"true or false, 1 or 0, or words such as {string.Join(", ", Good.Take(4).Concat(Bad.Take(4)))}";
}
