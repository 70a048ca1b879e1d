using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>
/// Special tokens that are written in a message stay text: before a template sees the message, each is replaced by a guard and its number,
/// and restored as plain text afterwards.
/// </summary>
internal static class SpelledToken
{
    // A character that occurs in no text, followed by the token's number.
    private const char Guard = '\uF8E0';

    // A model writes these itself in its answers, and templates search for them there.
    private static readonly string[] Thoughts = ["<think>", "</think>"];

    /// <summary>Copies messages with the written special tokens replaced.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="specials">The special tokens.</param>
    /// <param name="spelled">Receives the tokens that were found, by number.</param>
    internal static JsonArray Hide(JsonArray messages, IReadOnlyCollection<string> specials, List<string> spelled)
    {
        var copy = messages.DeepClone().AsArray();
        var longest = specials.Where(token => token.Length > 0).OrderByDescending(token => token.Length).ToList();
        foreach (var message in copy.OfType<JsonObject>())
        {
            var hidden = message["role"]?.ToString() == "assistant" ? longest.Except(Thoughts) : longest;
            foreach (var key in new[] { "content", "reasoning_content", "thinking", "reasoning" })
            {
                if (message[key] is JsonValue value && value.GetValueKind() == JsonValueKind.String)
                    message[key] = Hidden(value.GetValue<string>(), hidden, spelled);
            }
        }
        return copy;
    }

    /// <summary>Whether a place is between a guard and its number.</summary>
    /// <param name="text">The text.</param>
    /// <param name="place">The place.</param>
    internal static bool Cuts(string text, int place) => place > 0 && text[place - 1] == Guard;

    /// <summary>Adds a part of a rendering as spans, with the hidden tokens as plain text.</summary>
    /// <param name="spans">Receives the spans.</param>
    /// <param name="text">The part.</param>
    /// <param name="weight">The weight of its tokens in the loss; 0 for none.</param>
    /// <param name="spelled">The tokens that were hidden.</param>
    internal static void Show(List<RenderedSpan> spans, string text, float weight, List<string> spelled)
    {
        var at = 0;
        var learn = weight != 0;
        while (spelled.Count > 0 && text.IndexOf(Guard, at) is >= 0 and var found && found + 1 < text.Length)
        {
            if (found > at)
                spans.Add(new(SpanKind.Marked, text[at..found], learn, Weight: weight));
            spans.Add(new(SpanKind.Text, spelled[text[found + 1] - Guard - 1], learn, Weight: weight));
            at = found + 2;
        }
        if (at < text.Length)
            spans.Add(new(SpanKind.Marked, text[at..], learn, Weight: weight));
    }

    private static string Hidden(string text, IEnumerable<string> tokens, List<string> spelled)
    {
        foreach (var token in tokens.Where(token => text.Contains(token, StringComparison.Ordinal)))
        {
            spelled.Add(token);
            text = text.Replace(token, $"{Guard}{(char)(Guard + spelled.Count)}", StringComparison.Ordinal);
        }
        return text;
    }
}
