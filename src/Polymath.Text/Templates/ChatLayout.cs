using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// The chat templates of a model in Jinja, with the special tokens they use. A conversation is rendered as transformers renders it for the
/// same model.
/// </summary>
/// <param name="templates">The templates by name; a single template is named <c>default</c>.</param>
/// <param name="tokens">The special tokens by their names in the template, such as <c>bos_token</c>.</param>
public sealed class ChatLayout(IReadOnlyDictionary<string, JinjaTemplate> templates, IReadOnlyDictionary<string, string> tokens)
{
    private const string Assistant = "assistant";

    // What a conversation brings itself.
    private static readonly string[] given = ["messages", "tools", "add_generation_prompt"];

    // The habits of a template, determined once for the tokens of one tokenizer.
    private readonly Dictionary<JinjaTemplate, (string[] Specials, TemplateHabits Habits)> habits = [];

    /// <summary>A layout of one template.</summary>
    /// <param name="template">The template.</param>
    /// <param name="tokens">The special tokens by their names in the template.</param>
    public ChatLayout(JinjaTemplate template, IReadOnlyDictionary<string, string> tokens)
        : this(new Dictionary<string, JinjaTemplate> { [ChatFiles.Default] = template }, tokens)
    {
    }

    /// <summary>The templates by name.</summary>
    public IReadOnlyDictionary<string, JinjaTemplate> Templates => templates;

    /// <summary>The special tokens by their names in the template.</summary>
    public IReadOnlyDictionary<string, string> Tokens => tokens;

    /// <summary>The variables that can be set: those that a template reads in addition to the conversation and its tokens.</summary>
    public IReadOnlyList<string> Settable =>
        [.. templates.OrderBy(pair => pair.Key, StringComparer.Ordinal).SelectMany(pair => SettableOf(pair.Value))
            .Where(name => !tokens.ContainsKey(name)).Distinct(StringComparer.Ordinal)];

    /// <summary>The variables that a template reads in addition to the conversation and the special tokens.</summary>
    /// <param name="template">The template.</param>
    public static IEnumerable<string> SettableOf(JinjaTemplate template)
    {
        ArgumentNullException.ThrowIfNull(template);
        return template.Variables.Where(name => !given.Contains(name) && !name.EndsWith("_token", StringComparison.Ordinal));
    }

    /// <summary>Variables of the template in addition to the conversation, such as <c>enable_thinking</c>; null for none.</summary>
    public JsonObject? Variables { get; private init; }

    /// <summary>
    /// The name of the template that is used; null chooses as transformers does: <c>tool_use</c> when there are tools, else <c>default</c>.
    /// </summary>
    public string? Chosen { get; private init; }

    /// <summary>The same templates with one of them chosen, or with variables.</summary>
    /// <param name="chosen">The name of the template that is used; null does not change the choice.</param>
    /// <param name="variables">Variables for the template, added to the existing ones; null for none.</param>
    /// <exception cref="InputException">There is no template of that name, or a variable is one that every conversation sets.</exception>
    public ChatLayout With(string? chosen, JsonObject? variables)
    {
        if (chosen is not null && !templates.ContainsKey(chosen))
            throw new InputException($"There is no chat template '{chosen}'. The model has "
                + $"{string.Join(", ", templates.Keys.Order(StringComparer.Ordinal))}.");
        var kept = (variables ?? []).Select(pair => pair.Key).FirstOrDefault(name => given.Contains(name) || tokens.ContainsKey(name));
        if (kept is not null)
            throw new InputException($"'{kept}' is no variable to set: each conversation brings its own. "
                + $"{(Settable.Count == 0 ? "The template has no others" : $"The template has {string.Join(", ", Settable)}")}.");
        var all = Variables?.DeepClone().AsObject();
        foreach (var (name, value) in variables ?? [])
            (all ??= [])[name] = value?.DeepClone();
        return new ChatLayout(templates, tokens) { Chosen = chosen ?? Chosen, Variables = all };
    }

    /// <summary>The template for a conversation.</summary>
    /// <param name="tools">Whether the conversation has tools.</param>
    /// <exception cref="InputException">There are several, and none is chosen.</exception>
    public JinjaTemplate For(bool tools)
    {
        var name = Chosen ?? (tools && templates.ContainsKey(ChatFiles.ToolUse) ? ChatFiles.ToolUse : ChatFiles.Default);
        return templates.GetValueOrDefault(name) ?? throw new InputException(
            $"The model has the chat templates {string.Join(", ", templates.Keys.Order(StringComparer.Ordinal))}, and none is named "
                + $"{name}. Choose one: chat.template: NAME in a recipe, --template NAME in a command.");
    }

    /// <summary>The text of a conversation.</summary>
    /// <param name="dialogue">The conversation.</param>
    /// <param name="prompt">Whether the model speaks next.</param>
    /// <exception cref="JinjaException">The template refuses the conversation.</exception>
    public JinjaText Lay(Dialogue dialogue, bool prompt)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        return Lay(For(dialogue.Tools is { Count: > 0 }), dialogue.Messages, dialogue.Tools, prompt);
    }

    /// <summary>
    /// Renders a conversation. The learned parts are those that the template marks with <c>generation</c>. When it marks nothing, each
    /// answer is learned as it is in the full rendering: from the end of the words that ask for it to the token that ends it, with the
    /// message's <c>weight</c>. Special tokens that are written in a message stay text.
    /// </summary>
    /// <param name="dialogue">The conversation; the model speaks next when the last message is not the model's.</param>
    /// <param name="specials">The tokenizer's special tokens.</param>
    /// <param name="commands">Those of them that the tokenizer finds in no text.</param>
    /// <exception cref="InputException">The template refuses the conversation, or does not print a message of it.</exception>
    public Rendering Render(Dialogue dialogue, IReadOnlyCollection<string> specials, IReadOnlyCollection<string>? commands = null)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        ArgumentNullException.ThrowIfNull(specials);
        try
        {
            return Rendered(dialogue, specials, commands ?? []);
        }
        catch (JinjaException fault)
        {
            throw new InputException($"{dialogue.Key}: {fault.Message}", fault);
        }
    }

    /// <summary>
    /// The special tokens that the template puts after an answer: after a last one, and after one that the user replies to.
    /// </summary>
    /// <param name="specials">The tokenizer's special tokens.</param>
    public AnswerEnds EndsOf(IReadOnlyCollection<string> specials)
    {
        ArgumentNullException.ThrowIfNull(specials);
        return HabitsOf(Usual, specials).Ends;
    }

    /// <summary>Whether the template puts white space before answers, which the model is to say itself.</summary>
    /// <param name="specials">The tokenizer's special tokens.</param>
    public bool Leads(IReadOnlyCollection<string> specials)
    {
        ArgumentNullException.ThrowIfNull(specials);
        return HabitsOf(Usual, specials).Leads;
    }

    // Which of several templates is meant is asked when a conversation is laid out; they begin and end answers alike.
    private JinjaTemplate Usual => Templates.GetValueOrDefault(Chosen ?? ChatFiles.Default)
        ?? Templates.OrderBy(pair => pair.Key, StringComparer.Ordinal).First().Value;

    private TemplateHabits HabitsOf(JinjaTemplate template, IReadOnlyCollection<string> specials)
    {
        if (this.habits.TryGetValue(template, out var known) && known.Specials.AsSpan().SequenceEqual([.. specials]))
            return known.Habits;
        // A template for tools may need a tool.
        string? Lay(JsonArray messages, bool prompt) =>
            Tried(template, messages, null, prompt) ?? Tried(template, messages, TemplateHabits.Tools(), prompt);
        var habits = TemplateHabits.Of(Lay, [.. specials, .. tokens.Values]);
        this.habits[template] = ([.. specials], habits);
        return habits;
    }

    private Rendering Rendered(Dialogue dialogue, IReadOnlyCollection<string> specials, IReadOnlyCollection<string> commands)
    {
        var template = For(dialogue.Tools is { Count: > 0 });
        var spelled = new List<string>();
        var messages = SpelledToken.Hide(dialogue.Messages, specials, commands, spelled);
        var weights = messages.Select(TakeWeight).ToList();
        var prompt = messages.Count > 0 && RoleOf(messages[^1]) != Assistant;
        var whole = Whole(template, ref messages, dialogue.Tools, prompt);
        messages = Trimmed(
            template,
            messages,
            dialogue.Tools,
            prompt,
            whole.Text);
        var places =
            new MessagePlaces((list, tools) => Lay(template, list, tools, prompt).Text, messages, dialogue.Tools, whole.Text).Look();
        RequireAllPrinted(dialogue, messages, places);
        var habits = HabitsOf(template, specials);
        var turns = Turns(messages, weights, new AnswerSpans(whole.Text, places, habits));
        var learned = template.MarksGeneration
            ? Marked(whole, places, weights).Concat(OfOthers(messages, turns, weights)).ToList()
            : [.. turns.Select(turn => (turn.Start, turn.End, Weight(weights, turn)))];
        var spans = Cut(whole.Text, learned, spelled, commands);
        // A template that ends an answer by the next speaker's mark leaves the last one open.
        var open = turns.Count > 0 && !turns[^1].Ended && turns[^1].End == whole.Text.Length;
        if (open && !template.MarksGeneration && !prompt && habits.Ends.Next is { } next)
            SpelledToken.Show(
                spans,
                next,
                Weight(weights, turns[^1]),
                spelled,
                commands);
        var remarks = LayoutRemarks.Of(
            messages,
            places,
            turns,
            whole.Text,
            template);
        bool IsLearned(AnswerSpan turn) => learned.Exists(part => part.Start < turn.End && part.End > turn.Start);
        var read = turns.Where(turn => Weight(weights, turn) != 0 && !IsLearned(turn))
            .Select(turn => new LayoutRemark(turn.Message, LayoutRemarkKind.AnswerOnlyRead, ""));
        return new Rendering(dialogue.Key, spans) { Remarks = [.. remarks, .. read] };
    }

    private static float Weight(List<float?> weights, AnswerSpan turn) => weights[turn.Message] ?? 1;

    // The model's turns, and those of others that a weight asks to be learned.
    private static List<AnswerSpan> Turns(JsonArray messages, List<float?> weights, AnswerSpans answers)
    {
        var turns = new List<AnswerSpan>();
        for (var i = 0; i < messages.Count; i++)
        {
            var spoken = RoleOf(messages[i]) == Assistant;
            if ((spoken || weights[i] > 0) && answers.Of(i, spoken) is { } turn)
                turns.Add(turn);
        }
        return [.. turns.OrderBy(turn => turn.Start)];
    }

    // A template marks answers only; what others say is learned where a weight asks for it.
    private static IEnumerable<(int Start, int End, float Weight)> OfOthers(
        JsonArray messages, List<AnswerSpan> turns, List<float?> weights) =>
        turns.Where(turn => RoleOf(messages[turn.Message]) != Assistant).Select(turn => (turn.Start, turn.End, Weight(weights, turn)));

    // The template's own marks, each with the weight of the message in it.
    private static List<(int Start, int End, float Weight)> Marked(JinjaText whole, MessagePlaces places, List<float?> weights)
    {
        var learned = new List<(int, int, float)>();
        var weight = 1f;
        foreach (var span in whole.Generated.OrderBy(span => span.Start))
        {
            var end = span.Start + span.Length;
            var inside = places.Found.Where(part => part.Part != ProbePart.Tool && part.Start < end && part.End > span.Start).ToList();
            // A mark without a message belongs to the message before.
            if (inside.Count > 0)
                weight = weights[inside[0].Message] ?? 1;
            learned.Add((span.Start, end, weight));
        }
        return learned;
    }

    private static List<RenderedSpan> Cut(
        string text,
        List<(int Start, int End, float Weight)> learned,
        List<string> spelled,
        IReadOnlyCollection<string> commands)
    {
        void Show(List<RenderedSpan> into, string part, float weight) => SpelledToken.Show(
            into,
            part,
            weight,
            spelled,
            commands);
        var spans = new List<RenderedSpan>();
        var at = 0;
        foreach (var (start, end, weight) in learned.OrderBy(part => part.Start))
        {
            var from = Math.Max(at, start);
            if (end <= from)
                continue;
            Show(spans, text[at..from], 0);
            Show(spans, text[from..end], weight);
            at = end;
        }
        Show(spans, text[at..], 0);
        return spans;
    }

    private JinjaText Lay(JinjaTemplate template, JsonArray messages, JsonArray? tools, bool prompt)
    {
        var variables = new JsonObject
        {
            ["messages"] = messages.DeepClone(),
            ["tools"] = tools?.DeepClone(),
            ["documents"] = null,
            ["add_generation_prompt"] = prompt,
        };
        foreach (var (name, token) in tokens)
            variables[name] = token;
        foreach (var (name, value) in Variables ?? [])
            variables[name] = value?.DeepClone();
        return template.Render(variables);
    }

    // The first form of the messages that the template accepts and prints; the original form when it accepts none.
    private JinjaText Whole(JinjaTemplate template, ref JsonArray messages, JsonArray? tools, bool prompt)
    {
        var asked = messages.Select(MessageText.Of).FirstOrDefault(text => !string.IsNullOrWhiteSpace(text))?.Trim() ?? "";
        (JsonArray Form, JinjaText Text)? taken = null;
        foreach (var form in MessageForms.Of(messages))
        {
            if (Laid(template, form, tools, prompt) is not { } text || !text.Text.Contains(asked, StringComparison.Ordinal))
                continue;
            var plain = !MessageForms.AreTwiceWritten(form, text.Text);
            if (plain || taken is null)
                taken = (form, text);
            if (plain)
                break;
        }
        if (taken is { } found)
        {
            messages = found.Form;
            return found.Text;
        }
        return Lay(template, messages, tools, prompt);
    }

    // When the template trims messages, their edges are not in the rendering, although the template may print the same characters there.
    private JsonArray Trimmed(
        JinjaTemplate template,
        JsonArray messages,
        JsonArray? tools,
        bool prompt,
        string whole)
    {
        Func<string, string>[] ways = [text => text.Trim(), text => text.TrimStart(), text => text.TrimEnd()];
        foreach (var way in ways)
        {
            var changed = false;
            var trimmed = messages.DeepClone().AsArray();
            foreach (var message in trimmed.OfType<JsonObject>())
            {
                if (MessageText.Of(message) is not { } text)
                    continue;
                var shorter = way(text);
                changed |= shorter.Length != text.Length;
                MessageText.Put(message, shorter);
            }
            if (changed && Tried(template, trimmed, tools, prompt) == whole)
                return trimmed;
        }
        return messages;
    }

    private string? Tried(JinjaTemplate template, JsonArray messages, JsonArray? tools, bool prompt) =>
        Laid(template, messages, tools, prompt)?.Text;

    private JinjaText? Laid(JinjaTemplate template, JsonArray messages, JsonArray? tools, bool prompt)
    {
        try
        {
            return Lay(template, messages, tools, prompt);
        }
        catch (JinjaException)
        {
            return null;
        }
    }

    private void RequireAllPrinted(Dialogue dialogue, JsonArray messages, MessagePlaces places)
    {
        for (var i = 0; i < messages.Count; i++)
        {
            var role = RoleOf(messages[i]);
            if (role != Assistant && places.IsMissing(i, ProbePart.Content))
                throw Unprinted(dialogue, $"message {i + 1} (role {role})", role);
            if (places.IsMissing(i, ProbePart.Call))
                throw Unprinted(dialogue, $"the call of a function in message {i + 1}", "tool_calls");
        }
    }

    private InputException Unprinted(Dialogue dialogue, string what, string name) => new(
        $"{dialogue.Key}: {For(dialogue.Tools is { Count: > 0 }).Name} does not print {what}: the model would never see it. Choose a "
            + "template that does (chat.template in a recipe, --template in a command), correct the row, or leave it out with ignore: "
            + $"[{name}] (--ignore {name}).");

    private static string RoleOf(JsonNode? message) => message?["role"]?.ToString() ?? "";

    // The weight of a message is for us, not for the template.
    private static float? TakeWeight(JsonNode? message)
    {
        if (message is not JsonObject fields || Dialogue.WeightOf(fields) is not { } weight)
            return null;
        fields.Remove(Dialogue.Weight);
        return weight;
    }
}
