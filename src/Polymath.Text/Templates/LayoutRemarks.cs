using System.Text.Json.Nodes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>Finds the parts of a conversation that the model does not see, or sees changed.</summary>
internal static class LayoutRemarks
{
    // Keys that templates read without printing them, and keys with their own probes.
    private static readonly string[] Looked =
        ["role", "content", "tool_calls", "tool_call_id", "reasoning_content", "thinking", "reasoning"];

    /// <summary>The remarks on a conversation.</summary>
    /// <param name="messages">The rendered messages.</param>
    /// <param name="places">Their places in the rendering.</param>
    /// <param name="turns">The turns that were found.</param>
    /// <param name="text">The rendering.</param>
    /// <param name="template">The template.</param>
    internal static IEnumerable<LayoutRemark> Of(
        JsonArray messages,
        MessagePlaces places,
        List<AnswerSpan> turns,
        string text,
        JinjaTemplate template)
    {
        if (places.IsMissing(0, ProbePart.Tool) && !places.Found.Any(part => part.Part == ProbePart.Tool))
            yield return new(0, LayoutRemarkKind.ToolsLeftOut, "");
        for (var i = 0; i < messages.Count; i++)
        {
            if (messages[i] is not JsonObject message)
                continue;
            if (places.IsMissing(i, ProbePart.Thought))
                yield return new(i, LayoutRemarkKind.ThoughtLeftOut, "");
            foreach (var (key, value) in message)
            {
                if (value is not null && !Looked.Contains(key) && !IsPrinted(key, value, text, template))
                    yield return new(i, LayoutRemarkKind.KeyLeftOut, key);
            }
            if (message["role"]?.ToString() != "assistant" || Answer(message) is not { } answer)
                continue;
            if (places.IsMissing(i, ProbePart.Content))
                yield return new(i, LayoutRemarkKind.AnswerLeftOut, "");
            else if (turns.Find(turn => turn.Message == i) is { End: > 0 } turn
                && !Squeezed(text[turn.Start..turn.End]).Contains(Squeezed(answer), StringComparison.Ordinal))
                yield return new(i, LayoutRemarkKind.AnswerChanged, "");
        }
    }

    // A template that never names a key does not print it, and a text that was printed stands in the rendering. What else a template does
    // with a key that it names is not known.
    private static bool IsPrinted(string key, JsonNode value, string text, JinjaTemplate template) =>
        template.Source.Contains(key, StringComparison.Ordinal)
        && (MessageText.Words(value) is not { } words || text.Contains(words.Trim(), StringComparison.Ordinal));

    // Without the thought: templates drop thoughts from earlier answers by design, which has its own remark.
    private static string? Answer(JsonObject message)
    {
        if (MessageText.Of(message) is not { } text)
            return null;
        return text[(text.LastIndexOf("</think>", StringComparison.Ordinal) is >= 0 and var at ? at + "</think>".Length : 0)..];
    }

    private static string Squeezed(string text) => string.Concat(text.Where(letter => !char.IsWhiteSpace(letter)));
}
