using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>The layout of a conversation for a model, as data.</summary>
/// <param name="Begin">The special token that begins a row; empty for none.</param>
/// <param name="End">The special token that ends an answer and a document.</param>
/// <param name="User">What stands before a user's message.</param>
/// <param name="Assistant">What stands before an answer.</param>
/// <param name="UserIsSpecial">Whether <paramref name="User"/> and <paramref name="Assistant"/> are special tokens rather than
/// text.</param>
/// <param name="System">A message before every conversation; empty for none.</param>
public sealed record ChatTemplate(
    string Begin,
    string End,
    string User,
    string Assistant,
    bool UserIsSpecial,
    string System = "")
{
    /// <summary>The special tokens of new models.</summary>
    public static IReadOnlyList<string> Specials { get; } = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"];

    /// <summary>The template of new models.</summary>
    public static ChatTemplate Own { get; } = new("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", UserIsSpecial: true);

    /// <summary>A template in plain words, for models without their own marks.</summary>
    /// <param name="begin">The model's first token, or empty.</param>
    /// <param name="end">The model's last token.</param>
    public static ChatTemplate Words(string begin, string end) => new(
        begin,
        end,
        "User: ",
        "\nAssistant: ",
        UserIsSpecial: false);

    /// <summary>Renders a document: all of it is learned, including its end.</summary>
    /// <param name="document">The document.</param>
    public Rendering Render(Document document)
    {
        ArgumentNullException.ThrowIfNull(document);
        return new Rendering(
            document.Key, [.. Opening(), new(SpanKind.Text, document.Text, Learn: true), new(SpanKind.Special, End, Learn: true)]);
    }

    /// <summary>
    /// Renders a conversation: the answers are learned, including their ends. After a last turn without an answer, the model speaks next.
    /// </summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="convert">The conversion of each user's message.</param>
    public Rendering Render(Conversation conversation, Func<string, string> convert)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ArgumentNullException.ThrowIfNull(convert);
        var spans = Opening();
        if (System.Length > 0) spans.Add(new(SpanKind.Text, convert(System) + "\n", Learn: false));
        var mark = UserIsSpecial ? SpanKind.Special : SpanKind.Text;
        foreach (var turn in conversation.Turns)
        {
            spans.Add(new(mark, User, Learn: false));
            spans.Add(new(SpanKind.Text, convert(turn.User), Learn: false));
            spans.Add(new(mark, Assistant, Learn: false));
            if (turn.Assistant is null) continue;
            spans.Add(new(SpanKind.Text, turn.Assistant, Learn: true));
            spans.Add(new(SpanKind.Special, End, Learn: true));
        }
        return new Rendering(conversation.Key, spans);
    }

    /// <summary>
    /// Renders a conversation with roles: system messages are text, and the model's answers are learned with their <c>weight</c>.
    /// </summary>
    /// <param name="dialogue">The conversation.</param>
    /// <exception cref="InputException">The conversation has tools, a role or a content that this template cannot lay out.</exception>
    public Rendering Render(Dialogue dialogue)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        if (dialogue.Tools is { Count: > 0 })
            throw Refused(dialogue, "has tools", "tools");
        var spans = Opening();
        foreach (var message in dialogue.Messages)
            Add(spans, dialogue, message);
        return new Rendering(dialogue.Key, spans) { Remarks = [.. dialogue.Messages.Index().SelectMany(Unprinted)] };
    }

    // This template prints only the content.
    private static IEnumerable<LayoutRemark> Unprinted((int Index, JsonNode? Message) entry)
    {
        foreach (var (key, value) in entry.Message as JsonObject ?? [])
        {
            if (value is not null && key is not ("role" or "content" or Dialogue.Weight or "tool_call_id"))
                yield return new LayoutRemark(entry.Index, LayoutRemarkKind.KeyLeftOut, key);
        }
    }

    private void Add(List<RenderedSpan> spans, Dialogue dialogue, JsonNode? message)
    {
        var role = message?["role"]?.ToString();
        var text = message?["content"] is JsonValue content && content.TryGetValue(out string? words) ? words : null;
        if (text is null || message?["tool_calls"] is not null)
        {
            var what = text is null ? "whose content is no text" : "that calls a function";
            throw Refused(dialogue, $"has a message of the role '{role}' {what}", text is null ? role ?? "" : "tool_calls");
        }
        var mark = UserIsSpecial ? SpanKind.Special : SpanKind.Text;
        var told = Dialogue.WeightOf(message as JsonObject);
        switch (role)
        {
            case "system":
                spans.Add(new(SpanKind.Text, text + "\n", told > 0, Weight: told ?? 1));
                break;
            case "user":
                spans.Add(new(mark, User, Learn: false));
                spans.Add(new(SpanKind.Text, text, told > 0, Weight: told ?? 1));
                spans.Add(new(mark, Assistant, Learn: false));
                break;
            case "assistant":
                var weight = told ?? 1;
                spans.Add(new(SpanKind.Text, text, weight != 0, Weight: weight));
                spans.Add(new(SpanKind.Special, End, weight != 0, Weight: weight));
                break;
            default:
                throw Refused(dialogue, $"has a message of the role '{role}'", role ?? "");
        }
    }

    private static InputException Refused(Dialogue dialogue, string what, string name) => new(
        $"{dialogue.Key} {what}, which the model's own template cannot render. Choose a chat template with chat.template (--template), "
        + $"correct the row, or leave it out with ignore: [{name}] (--ignore {name}).");

    /// <summary>Renders a prompt: fields may be shortened, but not the words around them, and the answer at the mask is learned.</summary>
    /// <param name="labelled">The fields.</param>
    /// <param name="prompt">The prompt, with <c>{mask}</c>.</param>
    public Rendering Render(Labelled labelled, FieldText prompt)
    {
        ArgumentNullException.ThrowIfNull(labelled);
        ArgumentNullException.ThrowIfNull(prompt);
        var spans = Opening();
        foreach (var (text, isField) in prompt.Parts)
        {
            if (isField && text == Mask) break;
            var value = isField ? FieldText.Value(labelled.Fields, text) : text;
            if (value.Length > 0) spans.Add(new(SpanKind.Text, value, Learn: false, Shortenable: isField));
        }
        return new Rendering(labelled.Key, spans);
    }

    /// <summary>The name that stands for the answer in a prompt.</summary>
    public const string Mask = "mask";

    private List<RenderedSpan> Opening() => Begin.Length > 0 ? [new(SpanKind.Special, Begin, Learn: false)] : [];
}
