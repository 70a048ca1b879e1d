using System.Text.Json;
using System.Text.Json.Nodes;

namespace Polymath.Text.Templates;

/// <summary>
/// Special tokens that a message spells out stay text: before a template sees the message, each is replaced by a guard and its number, and
/// put back as plain text afterwards. Commands, which the tokenizer finds in no text, are only parted by a shield, so that the text is read
/// as one piece.
/// </summary>
internal static class SpelledToken
{
    // A character that occurs in no text, followed by the token's number.
    private const char Guard = '\uF8E0';

    // A noncharacter of Unicode: no text holds it.
    private const char Shield = '\uFDD0';

    // A model writes these itself in its answers; templates look for them there.
    private static readonly string[] Thoughts = ["<think>", "</think>"];

    /// <summary>Copies messages with the written special tokens replaced.</summary>
    /// <param name="messages">The messages.</param>
    /// <param name="specials">The special tokens.</param>
    /// <param name="commands">Those of them that the tokenizer finds in no text.</param>
    /// <param name="spelled">Takes the tokens that were found, by number.</param>
    internal static JsonArray Hide(
        JsonArray messages, IReadOnlyCollection<string> specials, IReadOnlyCollection<string> commands, List<string> spelled)
    {
        var copy = messages.DeepClone().AsArray();
        var longest = specials.Except(commands).Where(token => token.Length > 0).OrderByDescending(token => token.Length).ToList();
        var shielded = commands.Where(token => token.Length > 1).OrderByDescending(token => token.Length).ToList();
        foreach (var message in copy.OfType<JsonObject>())
        {
            var hidden = message["role"]?.ToString() == "assistant" ? longest.Except(Thoughts) : longest;
            foreach (var key in new[] { "content", "reasoning_content", "thinking", "reasoning" })
            {
                if (message[key] is JsonValue value && value.GetValueKind() == JsonValueKind.String)
                    message[key] = Shielded(Hidden(value.GetValue<string>(), hidden, spelled), shielded);
            }
        }
        return copy;
    }

    /// <summary>Whether a place is between a guard and its number.</summary>
    /// <param name="text">The text.</param>
    /// <param name="place">The place.</param>
    internal static bool Cuts(string text, int place) => place > 0 && text[place - 1] == Guard;

    /// <summary>A text without what keeps its commands apart.</summary>
    /// <param name="text">The text.</param>
    internal static string Bare(string text) => text.Replace($"{Shield}", "", StringComparison.Ordinal);

    /// <summary>Adds a part of a rendering as spans: what was hidden as plain text, commands as the tokens that they are.</summary>
    /// <param name="spans">Takes the spans.</param>
    /// <param name="text">The part.</param>
    /// <param name="weight">The weight of its tokens in the loss; 0 for none.</param>
    /// <param name="spelled">The tokens that were hidden.</param>
    /// <param name="commands">The tokens that are found here and in no other text.</param>
    internal static void Show(
        List<RenderedSpan> spans,
        string text,
        float weight,
        List<string> spelled,
        IReadOnlyCollection<string> commands)
    {
        var at = 0;
        var learn = weight != 0;
        while (spelled.Count > 0 && text.IndexOf(Guard, at) is >= 0 and var found && found + 1 < text.Length)
        {
            AddMarked(spans, text[at..found], weight, commands);
            spans.Add(new(SpanKind.Text, spelled[text[found + 1] - Guard - 1], learn, Weight: weight));
            at = found + 2;
        }
        AddMarked(spans, text[at..], weight, commands);
    }

    private static void AddMarked(List<RenderedSpan> spans, string text, float weight, IReadOnlyCollection<string> commands)
    {
        var learn = weight != 0;
        while (First(text, commands) is { Length: > 0 } command)
        {
            var at = text.IndexOf(command, StringComparison.Ordinal);
            if (at > 0)
                spans.Add(new(SpanKind.Marked, Bare(text[..at]), learn, Weight: weight));
            spans.Add(new(SpanKind.Special, command, learn, Weight: weight));
            text = text[(at + command.Length)..];
        }
        if (text.Length > 0)
            spans.Add(new(SpanKind.Marked, Bare(text), learn, Weight: weight));
    }

    // The leftmost command, of several at one place the longest.
    private static string? First(string text, IReadOnlyCollection<string> commands) => commands
        .Where(command => command.Length > 0 && text.Contains(command, StringComparison.Ordinal))
        .OrderBy(command => text.IndexOf(command, StringComparison.Ordinal)).ThenByDescending(command => command.Length).FirstOrDefault();

    private static string Shielded(string text, List<string> commands)
    {
        foreach (var command in commands)
            text = text.Replace(command, $"{command[0]}{Shield}{command[1..]}", StringComparison.Ordinal);
        return text;
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
