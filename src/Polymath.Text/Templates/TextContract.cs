using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates.Jinja;

namespace Polymath.Text.Templates;

/// <summary>
/// The input layout that a model was trained with: the template and the conversions of messages. It is saved next to the weights with a few
/// conversations and their tokens, so that a difference between training and use is noticed.
/// </summary>
/// <param name="Template">The layout of documents and prompts, and of conversations when <see cref="Layout"/> is null.</param>
/// <param name="Conversions">The conversions of each message, in order.</param>
public sealed record TextContract(ChatTemplate Template, IReadOnlyList<CharacterConversion> Conversions)
{
    private const string FileName = "polymath.json";

    /// <summary>Whether the model was trained with this layout; false for a guess.</summary>
    public bool Recorded { get; init; } = true;

    /// <summary>The chat template of conversations; null for <see cref="Template"/>.</summary>
    public ChatLayout? Layout { get; init; }

    // The shipped template that the layout is.
    private string? Named { get; init; }

    /// <summary>What is to be told of a layout that the model did not bring itself, a sentence; null for nothing.</summary>
    public string? Note { get; private init; }

    /// <summary>What is to be told of a variable that was set and that the chat template does not read; null for nothing.</summary>
    public string? Idle { get; private init; }

    private static readonly string[] golden = ["以《江雪》为题，写一首五言绝句。", "Hello, world!\n  <|end|> 2 + 2 = 4"];

    /// <summary>A message in the form that the model reads.</summary>
    /// <param name="message">What the user typed.</param>
    public string Convert(string message) => Conversions.Aggregate(message, (text, table) => table.Convert(text));

    /// <summary>A conversation in the form that the model reads.</summary>
    /// <param name="conversation">The conversation.</param>
    /// <param name="tokenizer">The tokenizer; null when only texts are needed.</param>
    public Rendering Render(Conversation conversation, Tokenizer? tokenizer) =>
        Layout is null
            ? Template.Render(conversation, Convert, tokenizer)
            : Laid(Dialogue.Of(conversation, Convert, Template.System), tokenizer);

    /// <summary>A conversation with roles and tools in the form that the model reads.</summary>
    /// <param name="dialogue">The conversation.</param>
    /// <param name="tokenizer">The tokenizer; null when only texts are needed.</param>
    public Rendering Render(Dialogue dialogue, Tokenizer? tokenizer)
    {
        ArgumentNullException.ThrowIfNull(dialogue);
        var messages = dialogue.Messages.DeepClone().AsArray();
        foreach (var message in messages.OfType<JsonObject>())
            if (message["role"]?.ToString() is "user" or "system"
                && message["content"] is JsonValue content && content.GetValueKind() == JsonValueKind.String)
                message["content"] = Convert(content.ToString());
        if (Template.System.Length > 0 && messages.FirstOrDefault()?["role"]?.ToString() != "system")
            messages.Insert(0, Dialogue.Message("system", Convert(Template.System)));
        var converted = dialogue with { Messages = messages };
        return Layout is null ? Template.Render(converted, tokenizer) : Laid(converted, tokenizer);
    }

    private Rendering Laid(Dialogue dialogue, Tokenizer? tokenizer)
    {
        if (tokenizer is not null && Named is { } name) NamedTemplates.Require(name, tokenizer);
        return Layout!.Render(dialogue, Specials(tokenizer), tokenizer?.Commands);
    }

    private static IReadOnlyCollection<string> Specials(Tokenizer? tokenizer) => [.. tokenizer?.SpecialTokens.Keys ?? []];

    /// <summary>The tokens of a conversation whose last turn the model answers.</summary>
    /// <param name="turns">The turns.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    public int[] Encode(IReadOnlyList<Turn> turns, Tokenizer tokenizer) =>
        Render(new Conversation("chat", turns), tokenizer).Tokenize(tokenizer).Ids;

    /// <summary>The tokens that end an answer: the template's own and the model's last one.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    public IReadOnlyList<int> Ends(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        string?[] names = [Template.End, .. Layout?.EndsOf(tokenizer.SpecialTokens.Keys.ToList()).Names ?? []];
        return [.. names.Where(name => !string.IsNullOrEmpty(name)).Select(name => tokenizer.IdOf(name!)).OfType<int>().Distinct()];
    }

    /// <summary>The tokens that end an answer in a folder that records its layout; none where it records none.</summary>
    /// <param name="folder">The folder of a model, or of a model that is being written.</param>
    /// <param name="vocabulary">The model's number of tokens.</param>
    public static IReadOnlyList<int> RecordedEnds(string folder, int vocabulary)
    {
        if (!File.Exists(Path.Combine(folder, FileName)) || !File.Exists(Path.Combine(folder, "tokenizer.json"))) return [];
        var tokenizer = Tokenizer.Load(folder, vocabulary);
        return Load(folder, tokenizer).Ends(tokenizer);
    }

    /// <summary>An answer as it is shown and remembered: without the white space that the layout puts before answers.</summary>
    /// <param name="answer">What the model said.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    public string Answered(string answer, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        ArgumentNullException.ThrowIfNull(tokenizer);
        var leads = Layout is null ? Template.Lead.Length > 0 : Layout.Leads(tokenizer.SpecialTokens.Keys.ToList());
        return leads ? answer.TrimStart() : answer;
    }

    /// <summary>Writes the contract beside a model or an adapter.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    public void Save(string folder, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        for (var i = 0; i < Conversions.Count; i++) Conversions[i].Save(Path.Combine(folder, TableName(i)));
        var content = new JsonObject
        {
            ["template"] = JsonSerializer.SerializeToNode(Template, JsonLayout.Indented),
            ["conversions"] = new JsonArray([.. Enumerable.Range(0, Conversions.Count).Select(i => JsonValue.Create(TableName(i)))]),
        };
        if (Layout is not null)
        {
            content["tokens"] = JsonSerializer.SerializeToNode(Layout.Tokens, JsonLayout.Indented);
            if (Layout.Chosen is not null) content["chosen"] = Layout.Chosen;
            if (Aside is { } aside) content["default"] = aside;
            if (Layout.Variables is not null) content["variables"] = Layout.Variables.DeepClone();
        }
        content["golden"] = new JsonArray([.. Golden(tokenizer)]);
        AtomicFile.WriteText(Path.Combine(folder, FileName), content.ToJsonString(JsonLayout.Indented) + "\n");
        SaveForPython(folder, tokenizer);
    }

    private IEnumerable<JsonNode> Golden(Tokenizer tokenizer)
    {
        IReadOnlyList<Turn>[] conversations =
            [.. golden.Select(text => new[] { new Turn(text) }), [new Turn(golden[1], "4."), new Turn(golden[0])]];
        // A template with the date gives other tokens on another day.
        if (Layout?.Templates.Values.Any(template => template.Source.Contains("strftime_now", StringComparison.Ordinal)) == true)
            yield break;
        foreach (var turns in conversations)
        {
            int[] ids;
            try
            {
                ids = Encode(turns, tokenizer);
            }
            catch (InputException)
            {
                continue;
            }
            yield return new JsonObject
            {
                ["turns"] = new JsonArray([.. turns.Select(turn => new JsonArray(turn.User, turn.Assistant))]),
                ["ids"] = new JsonArray([.. ids.Select(id => JsonValue.Create(id))]),
            };
        }
    }

    /// <summary>Reads the contract next to a model and checks that the tokenizer still gives the recorded tokens.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <exception cref="InputException">The file is damaged, or the tokens differ.</exception>
    public static TextContract Load(string folder, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        var file = Path.Combine(folder, FileName);
        if (!File.Exists(file)) return Found(folder, tokenizer);
        try
        {
            var content = JsonNode.Parse(File.ReadAllBytes(file))!;
            var template = content["template"].Deserialize<ChatTemplate>(JsonLayout.Indented)
                ?? throw new InputException($"{file} has no template.");
            var tables = content["conversions"]!.AsArray()
                .Select(name => CharacterConversion.Load(Path.Combine(folder, Path.GetFileName(name!.ToString())))).ToList();
            var contract = new TextContract(template, tables);
            if (content["tokens"] is { } tokens)
            {
                var templates = ChatFiles.Templates(folder);
                if (templates.Count == 0)
                    throw new InputException($"{folder} has lost its {ChatFiles.Template}. Restore the folder's files.");
                if (content["default"]?.ToString() is { } aside && templates.Remove(aside, out var usual))
                    templates[ChatFiles.Default] = usual;
                var chat = new ChatLayout(templates, tokens.Deserialize<Dictionary<string, string>>(JsonLayout.Indented)!);
                contract = contract with { Layout = chat.With(content["chosen"]?.ToString(), content["variables"] as JsonObject) };
            }
            foreach (var item in content["golden"]!.AsArray()) contract.Check(item!, folder, tokenizer);
            return contract;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or IOException
            or UnauthorizedAccessException or FormatException)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or delete it to use the model without its template.", e);
        }
    }

    private void Check(JsonNode item, string folder, Tokenizer tokenizer)
    {
        IReadOnlyList<Turn> turns = item["turns"] is JsonArray list
            ? [.. list.Select(turn => new Turn(turn![0]!.ToString(), turn[1]?.ToString()))]
            : [new Turn(item["message"]!.ToString())];
        if (!Encode(turns, tokenizer).SequenceEqual(item["ids"]!.AsArray().Select(id => (int)id!)))
            throw new InputException($"{folder}: the tokenizer or the template is not the one the model was trained with: "
                + $"'{turns[^1].User}' gives other tokens than {FileName} records. Restore the folder's files.");
    }

    // A published model: its own chat template, or plain words between the tokens that its tokenizer_config.json names.
    private static TextContract Found(string folder, Tokenizer tokenizer)
    {
        var special = tokenizer.SpecialTokens;
        var tokens = ChatFiles.Tokens(folder);
        string Named(string key, params string[] usual) =>
            tokens.TryGetValue(key, out var name) && special.ContainsKey(name) ? name : usual.FirstOrDefault(special.ContainsKey) ?? "";
        var begin = Named("bos_token", "<|begin|>", "<s>");
        var end = Named("eos_token", "<|end|>", "</s>", "<|endoftext|>", "<|im_end|>");
        var words = new TextContract(FamilyTemplates.Words(folder, tokenizer, begin, end), []) { Recorded = false };
        var templates = ChatFiles.Templates(folder);
        if (templates.Count > 0)
            return words with { Recorded = true, Layout = new ChatLayout(templates, tokens) };
        if (FamilyTemplates.Of(folder, tokenizer) is { } family)
            return words.With(family) with
            {
                Note = $"the model brings no chat template: conversations are laid out by the one its family was published with, {family} "
                    + "(chat: {template: NAME} or --template NAME chooses another)",
            };
        return words with
        {
            Note = "the model brings no chat template, and none is known for its family: conversations are laid out in plain words "
                + $"('{words.Template.User}...', '{words.Template.Assistant.Trim()} ...'). Where the model was taught another layout, "
                + "choose it: chat: {template: NAME} in a recipe, --template NAME in a command (polymath template list shows the names)",
        };
    }

    /// <summary>The same contract with variables for the chat template.</summary>
    /// <param name="variables">The variables by name.</param>
    /// <exception cref="InputException">There is no chat template for them.</exception>
    public TextContract With(JsonObject variables)
    {
        if (Layout is null)
            throw new InputException("The model has no chat template for the variables. Choose one with chat.template "
                + "(--template).");
        var layout = Layout.With(null, variables);
        var known = layout.Settable;
        var idle = (variables ?? []).Select(pair => pair.Key).FirstOrDefault(name => !known.Contains(name));
        if (idle is null)
            return this with { Layout = layout, Idle = null };
        var note = $"the chat template does not use the variable '{idle}', so setting it changes nothing: "
            + (known.Count == 0 ? "it has no variables" : Nearest.Hint(idle, known, "variables"));
        return this with { Layout = layout, Idle = note };
    }

    /// <summary>The same contract with another template for conversations.</summary>
    /// <param name="name">The name of a shipped template or of one of the model's own, or a file that ends in <c>.jinja</c>.</param>
    /// <exception cref="InputException">There is none of that name.</exception>
    public TextContract With(string name)
    {
        if (Layout?.Templates.ContainsKey(name) == true)
            return this with { Layout = Layout.With(name, null), Note = null };

        var tokens = new Dictionary<string, string>(Layout?.Tokens ?? new Dictionary<string, string>(), StringComparer.Ordinal);
        tokens.TryAdd("bos_token", Template.Begin);
        tokens.TryAdd("eos_token", Template.End);
        var template = name.EndsWith(".jinja", StringComparison.Ordinal)
            ? NamedTemplates.FromFile(name)
            : NamedTemplates.Find(name, Layout?.Templates.Keys);
        return this with
        {
            Layout = new ChatLayout(template, tokens).With(null, Layout?.Variables),
            Recorded = true,
            Named = name,
            Note = null,
        };
    }

    // The files that transformers needs to render the same conversation.
    private void SaveForPython(string folder, Tokenizer tokenizer)
    {
        var settings = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast" };
        foreach (var (name, token) in Layout?.Tokens ?? new Dictionary<string, string>()) settings[name] = token;
        settings["bos_token"] ??= Template.Begin.Length > 0 ? Template.Begin : null;
        settings["eos_token"] ??= Template.End;
        settings["add_bos_token"] = false;
        settings["clean_up_tokenization_spaces"] = false;
        var source =
            (Layout?.Chosen is { } chosen ? Layout.Templates[chosen] : Layout?.Templates.GetValueOrDefault(ChatFiles.Default))?.Source;
        if (Layout is null) settings["chat_template"] = source = Template.Jinja();
        // A tokenizer in older files keeps the settings it came with: they say how the files are read.
        if (tokenizer.Files.TryGetValue(ChatFiles.Settings, out var kept) && JsonNode.Parse(kept.Span) is JsonObject own)
        {
            if (source is not null) own["chat_template"] = source;
            settings = own;
        }
        AtomicFile.WriteText(Path.Combine(folder, ChatFiles.Settings), settings.ToJsonString(JsonLayout.Indented) + "\n");
        if (source is not null) AtomicFile.WriteText(Path.Combine(folder, ChatFiles.Template), source);
        foreach (var (name, template) in Layout?.Templates ?? new Dictionary<string, JinjaTemplate>())
        {
            var saved = name == ChatFiles.Default ? Aside : name;
            if (saved is not null) AtomicFile.WriteText(Path.Combine(folder, ChatFiles.Additional, saved + ".jinja"), template.Source);
        }
    }

    // The name of the default template where another is chosen: that one then has the file of the template without a name.
    private string? Aside
    {
        get
        {
            if (Layout?.Chosen is null or ChatFiles.Default || !Layout.Templates.ContainsKey(ChatFiles.Default)) return null;
            var name = "published";
            while (Layout.Templates.ContainsKey(name)) name += "_default";
            return name;
        }
    }

    private static string TableName(int i) => $"conversion-{i}.json";
}
