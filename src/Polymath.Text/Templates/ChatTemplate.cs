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
/// <param name="Lead">What stands before an answer and is learned with it, so that a prompt does not end in a space; empty for
/// nothing.</param>
/// <param name="OnePiece">Whether a conversation is read as one text, as transformers reads a chat template's; else each part is read by
/// itself, as models that were made here earlier learned it.</param>
/// <param name="Before">A special token before <paramref name="Begin"/>; empty for none.</param>
public sealed record ChatTemplate(
    string Begin,
    string End,
    string User,
    string Assistant,
    bool UserIsSpecial,
    string System = "",
    string Lead = "",
    bool OnePiece = false,
    string Before = "")
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
        "\nAssistant:",
        UserIsSpecial: false,
        Lead: " ",
        OnePiece: true);

    /// <summary>Renders a document: all of it is learned, including its end.</summary>
    /// <param name="document">The document.</param>
    public Rendering Render(Document document)
    {
        ArgumentNullException.ThrowIfNull(document);
        var spans = Opening();
        spans.Add(new(SpanKind.Text, document.Text, Learn: true));
        if (End.Length > 0) spans.Add(new(SpanKind.Special, End, Learn: true));
        return new Rendering(document.Key, spans);
    }

    /// <summary>
    /// Renders a conversation: the answers are learned, including their ends. After a last turn without an answer, the model speaks next.
    /// </summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="convert">What each user's message passes through.</param>
    /// <param name="tokenizer">The tokenizer, whose special tokens no message brings in; null where only texts are asked for.</param>
    public Rendering Render(Conversation conversation, Func<string, string> convert, Tokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(conversation);
        ArgumentNullException.ThrowIfNull(convert);
        if (OnePiece) return Render(Dialogue.Of(conversation, convert, System), tokenizer);
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
    /// <param name="tokenizer">The tokenizer, whose special tokens no message brings in; null where only texts are asked for.</param>
    /// <exception cref="InputException">The conversation has tools, a role or a content that this template cannot lay out.</exception>
    public Rendering Render(Dialogue dialogue, Tokenizer? tokenizer = null)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        if (dialogue.Tools is { Count: > 0 })
            throw Refused(dialogue, "has tools", "tools");
        var spelled = new List<string>();
        var commands = tokenizer?.Commands ?? [];
        var messages = OnePiece
            ? SpelledToken.Hide(dialogue.Messages, [.. tokenizer?.SpecialTokens.Keys ?? []], commands, spelled)
            : dialogue.Messages;
        var spans = Opening();
        foreach (var message in messages)
            Add(spans, dialogue, message);
        if (OnePiece)
            spans = Joined(spans, spelled, commands);
        return new Rendering(dialogue.Key, spans) { Remarks = [.. dialogue.Messages.Index().SelectMany(Unprinted)] };
    }

    // One text, in which the template's special tokens are written out.
    private static List<RenderedSpan> Joined(List<RenderedSpan> spans, List<string> spelled, IReadOnlyCollection<string> commands)
    {
        var joined = new List<RenderedSpan>();
        foreach (var span in spans)
            SpelledToken.Show(
                joined,
                span.Text,
                span.Target,
                spelled,
                commands);
        return joined;
    }

    // This template prints the content alone.
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
                spans.Add(new(SpanKind.Text, Lead + text, weight != 0, Weight: weight));
                spans.Add(new(SpanKind.Special, End, weight != 0, Weight: weight));
                break;
            default:
                throw Refused(dialogue, $"has a message of the role '{role}'", role ?? "");
        }
    }

    private static InputException Refused(Dialogue dialogue, string what, string name) => new(
        $"{dialogue.Key} {what}, which the model's own template cannot render. Choose a chat template with chat.template (--template), "
        + $"correct the row, or leave it out with ignore: [{name}] (--ignore {name}).");

    /// <summary>Renders the text that a label is for: fields may be shortened, but not the words around them.</summary>
    /// <param name="labelled">The fields.</param>
    /// <param name="prompt">The text around the fields.</param>
    public Rendering Render(Labelled labelled, FieldText prompt)
    {
        ArgumentNullException.ThrowIfNull(labelled);
        ArgumentNullException.ThrowIfNull(prompt);
        var spans = Opening();
        foreach (var (text, isField) in prompt.Parts)
        {
            var value = isField ? FieldText.Value(labelled.Fields, text) : text;
            if (value.Length > 0) spans.Add(new(SpanKind.Text, value, Learn: false, Shortenable: isField));
        }
        return new Rendering(labelled.Key, spans);
    }

    /// <summary>The tokens before every row.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    public int[] OpeningIds(Tokenizer tokenizer) => new Rendering("opening", Opening()).Tokenize(tokenizer).Ids;

    private List<RenderedSpan> Opening() => [.. new[] { Before, Begin }.Where(token => token.Length > 0)
        .Select(token => new RenderedSpan(SpanKind.Special, token, Learn: false))];

    /// <summary>
    /// The same layout as a Jinja template, for other programs: a message before every conversation stands where the conversation brings no
    /// system message of its own.
    /// </summary>
    internal string Jinja() =>
        string.Concat(new[] { Before.Length > 0 ? Quote(Before) : "", Begin.Length > 0 ? "{{ bos_token }}" : "" })
        + (System.Length > 0 ? "{% if not messages or messages[0]['role'] != 'system' %}" + Quote(System + "\n") + "{% endif %}" : "")
        + "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
        + "{% elif message['role'] == 'user' %}" + Quote(User) + "{{ message['content'] }}" + Quote(Assistant)
        + "{% elif message['role'] == 'assistant' %}{% generation %}" + (Lead.Length > 0 ? Quote(Lead) : "")
        + "{{ message['content'] }}" + (End.Length > 0 ? "{{ eos_token }}" : "") + "{% endgeneration %}{% endif %}{% endfor %}";

    private static string Quote(string text) => "{{ '" + text.Replace("\\", "\\\\", StringComparison.Ordinal)
        .Replace("'", "\\'", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal) + "' }}";
}
