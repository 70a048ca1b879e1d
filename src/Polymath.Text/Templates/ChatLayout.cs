using System.Text.Json.Nodes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// A chat template in Jinja with the special tokens it speaks of: how transformers lays out a conversation for the same model.
/// </summary>
/// <param name="Template">The template.</param>
/// <param name="Tokens">The special tokens by their names in the template, such as <c>bos_token</c>.</param>
public sealed record ChatLayout(JinjaTemplate Template, IReadOnlyDictionary<string, string> Tokens)
{
    // Stands for a special token that a message spells out: a character of no text, followed by the token's number.
    private const char Guard = '\uF8E0';

    /// <summary>The text of a conversation.</summary>
    /// <param name="dialogue">The conversation.</param>
    /// <param name="prompt">Whether the model is to speak next.</param>
    /// <exception cref="JinjaException">The template refuses the conversation.</exception>
    public JinjaText Lay(Dialogue dialogue, bool prompt)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        return Lay(dialogue.Messages, dialogue.Tools, prompt);
    }

    private JinjaText Lay(JsonArray messages, JsonArray? tools, bool prompt)
    {
        var variables = new JsonObject
        {
            ["messages"] = messages.DeepClone(),
            ["tools"] = tools?.DeepClone(),
            ["documents"] = null,
            ["add_generation_prompt"] = prompt,
        };
        foreach (var (name, token) in Tokens) variables[name] = token;
        return Template.Render(variables);
    }

    /// <summary>
    /// Renders a conversation. What is learned is what the template marks with <c>generation</c>; where it marks nothing, what an answer
    /// adds to the prompt before it, up to the token that ends it. Special tokens that a message spells out stay text.
    /// </summary>
    /// <param name="dialogue">The conversation; the model is to speak next where its last message is not the model's.</param>
    /// <param name="specials">The tokenizer's special tokens.</param>
    public Rendering Render(Dialogue dialogue, IReadOnlyCollection<string> specials)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        ArgumentNullException.ThrowIfNull(specials);
        var spelled = new List<string>();
        var messages = Guarded(dialogue.Messages, specials, spelled);
        var prompt = messages.Count > 0 && messages[^1]?["role"]?.ToString() != "assistant";
        var text = Lay(messages, dialogue.Tools, prompt);
        var learned = Template.MarksGeneration ? text.Generated : Answers(text.Text, messages, dialogue.Tools, specials);
        var spans = new List<RenderedSpan>();
        var at = 0;
        foreach (var span in learned.OrderBy(span => span.Start))
        {
            Add(spans, text.Text[at..span.Start], false, spelled);
            Add(spans, text.Text.Substring(span.Start, span.Length), true, spelled);
            at = span.Start + span.Length;
        }
        Add(spans, text.Text[at..], false, spelled);
        return new Rendering(dialogue.Key, spans);
    }

    /// <summary>The special token that the template puts behind an answer; null where it puts none.</summary>
    /// <param name="specials">The tokenizer's special tokens.</param>
    public string? EndOfAnswer(IReadOnlyCollection<string> specials)
    {
        ArgumentNullException.ThrowIfNull(specials);
        const string answer = "Quite so";
        try
        {
            var text = Lay([Dialogue.Message("user", "Is it?"), Dialogue.Message("assistant", answer)], null, prompt: false).Text;
            var rest = text[(text.LastIndexOf(answer, StringComparison.Ordinal) + answer.Length)..].TrimStart();
            return text.Contains(answer, StringComparison.Ordinal)
                ? specials.Where(token => rest.StartsWith(token, StringComparison.Ordinal)).MaxBy(token => token.Length)
                : null;
        }
        catch (JinjaException)
        {
            return null;
        }
    }

    private List<GeneratedSpan> Answers(string whole, JsonArray messages, JsonArray? tools, IReadOnlyCollection<string> specials)
    {
        var spans = new List<GeneratedSpan>();
        for (var i = 0; i < messages.Count; i++)
        {
            if (messages[i]?["role"]?.ToString() != "assistant") continue;
            JsonArray Until(int count) => [.. messages.Take(count).Select(message => message?.DeepClone())];
            var before = Lay(Until(i), tools, prompt: true).Text;
            var with = i + 1 == messages.Count ? whole : Lay(Until(i + 1), tools, prompt: false).Text;
            // A template that changes earlier answers later on teaches only those that stand as they were given.
            if (!with.StartsWith(before, StringComparison.Ordinal) || !whole.StartsWith(with, StringComparison.Ordinal)) continue;
            var answer = with[before.Length..];
            var bare = answer.TrimEnd();
            if (specials.Any(token => bare.EndsWith(token, StringComparison.Ordinal))) answer = bare;
            spans.Add(new GeneratedSpan(before.Length, answer.Length));
        }
        return spans;
    }

    private static JsonArray Guarded(JsonArray messages, IReadOnlyCollection<string> specials, List<string> spelled)
    {
        var copy = messages.DeepClone().AsArray();
        foreach (var message in copy.OfType<JsonObject>())
        {
            if (message["content"] is not JsonValue content || content.GetValueKind() != System.Text.Json.JsonValueKind.String) continue;
            var text = content.ToString();
            foreach (var token in specials.OrderByDescending(token => token.Length)
                .Where(token => token.Length > 0 && text.Contains(token, StringComparison.Ordinal)))
            {
                spelled.Add(token);
                text = text.Replace(token, $"{Guard}{(char)(Guard + spelled.Count)}", StringComparison.Ordinal);
            }
            message["content"] = text;
        }
        return copy;
    }

    private static void Add(List<RenderedSpan> spans, string text, bool learn, List<string> spelled)
    {
        var at = 0;
        while (spelled.Count > 0 && text.IndexOf(Guard, at) is >= 0 and var found && found + 1 < text.Length)
        {
            if (found > at) spans.Add(new(SpanKind.Marked, text[at..found], learn));
            spans.Add(new(SpanKind.Text, spelled[text[found + 1] - Guard - 1], learn));
            at = found + 2;
        }
        if (at < text.Length) spans.Add(new(SpanKind.Marked, text[at..], learn));
    }
}
