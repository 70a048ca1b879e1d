using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text.Templates;

/// <summary>
/// What a model was taught about the layout of its input: the template and the conversions of messages, kept beside the weights with a few conversations and
/// their tokens, so that serving cannot drift from training unnoticed.
/// </summary>
/// <param name="Template">The layout.</param>
/// <param name="Conversions">What each message passes through, in order.</param>
public sealed record TextContract(ChatTemplate Template, IReadOnlyList<CharacterConversion> Conversions)
{
    const string FileName = "polymath.json";

    /// <summary>Whether the model was taught this layout; false for one that was guessed.</summary>
    public bool Recorded { get; init; } = true;

    static readonly string[] golden = ["以《江雪》为题，写一首五言绝句。", "Hello, world!\n  <|end|> 2 + 2 = 4"];

    static readonly JsonSerializerOptions layout = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A message as the model reads it.</summary>
    /// <param name="message">What the user typed.</param>
    public string Convert(string message) => Conversions.Aggregate(message, (text, table) => table.Convert(text));

    /// <summary>The tokens of a conversation whose last turn the model is to answer.</summary>
    /// <param name="turns">The turns.</param>
    /// <param name="tokenizer">The tokenizer.</param>
    public int[] Encode(IReadOnlyList<Turn> turns, Tokenizer tokenizer) => Template.Render(new Conversation("chat", turns), Convert).Tokenize(tokenizer).Ids;

    /// <summary>Writes the contract beside a model.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    public void Save(string folder, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        for (var i = 0; i < Conversions.Count; i++) Conversions[i].Save(Path.Combine(folder, TableName(i)));
        var content = new JsonObject
        {
            ["template"] = JsonSerializer.SerializeToNode(Template, layout),
            ["conversions"] = new JsonArray([.. Enumerable.Range(0, Conversions.Count).Select(i => JsonValue.Create(TableName(i)))]),
            ["golden"] = new JsonArray([.. golden.Select(text => new JsonObject
            {
                ["message"] = text,
                ["ids"] = new JsonArray([.. Encode([new Turn(text)], tokenizer).Select(id => JsonValue.Create(id))]),
            })]),
        };
        AtomicFile.WriteText(Path.Combine(folder, FileName), content.ToJsonString(layout) + "\n");
        SaveForPython(folder, tokenizer);
    }

    /// <summary>Reads the contract beside a model and checks that the tokenizer still gives the recorded tokens.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <exception cref="InputException">The file is damaged, or the tokens differ.</exception>
    public static TextContract Load(string folder, Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        var file = Path.Combine(folder, FileName);
        if (!File.Exists(file)) return Guess(folder, tokenizer);
        try
        {
            var content = JsonNode.Parse(File.ReadAllBytes(file))!;
            var template = content["template"].Deserialize<ChatTemplate>(layout) ?? throw new InputException($"{file} has no template.");
            var tables = content["conversions"]!.AsArray().Select(name => CharacterConversion.Load(Path.Combine(folder, Path.GetFileName(name!.ToString())))).ToList();
            var contract = new TextContract(template, tables);
            foreach (var item in content["golden"]!.AsArray())
            {
                var message = item!["message"]!.ToString();
                if (!contract.Encode([new Turn(message)], tokenizer).SequenceEqual(item["ids"]!.AsArray().Select(id => (int)id!)))
                    throw new InputException($"{folder}: the tokenizer or the template is not the one the model was trained with: '{message}' becomes other tokens than {FileName} recorded. Restore the folder's files.");
            }
            return contract;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or IOException or UnauthorizedAccessException or FormatException)
        {
            throw new InputException($"{file} is damaged: {e.Message} Restore it, or delete it to use the model without its template.", e);
        }
    }

    // A model that others made: plain words, between the tokens its tokenizer_config.json names.
    static TextContract Guess(string folder, Tokenizer tokenizer)
    {
        var special = tokenizer.SpecialTokens;
        string Named(string key, params string[] usual)
        {
            var file = Path.Combine(folder, "tokenizer_config.json");
            if (File.Exists(file) && JsonNode.Parse(File.ReadAllBytes(file)) is JsonObject settings && settings[key] is { } node)
            {
                var name = node is JsonObject token ? token["content"]?.ToString() : node.ToString();
                if (name is not null && special.ContainsKey(name)) return name;
            }
            return usual.FirstOrDefault(special.ContainsKey) ?? "";
        }
        var end = Named("eos_token", "<|end|>", "</s>", "<|endoftext|>", "<|im_end|>");
        return new TextContract(ChatTemplate.Words(Named("bos_token", "<|begin|>", "<s>"), end), []) { Recorded = false };
    }

    // What transformers needs to lay out the same conversation.
    void SaveForPython(string folder, Tokenizer tokenizer)
    {
        JsonObject settings = new()
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["bos_token"] = Template.Begin.Length > 0 ? Template.Begin : null,
            ["eos_token"] = Template.End,
            ["add_bos_token"] = false,
            ["clean_up_tokenization_spaces"] = false,
            ["chat_template"] =
                "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}" + Quote(Template.User) + "{{ message['content'] }}" + Quote(Template.Assistant)
                + "{% elif message['role'] == 'assistant' %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}",
        };
        // A tokenizer in older files keeps the settings it came with: they say how the files are read.
        if (tokenizer.Files.TryGetValue("tokenizer_config.json", out var kept) && JsonNode.Parse(kept.Span) is JsonObject own)
        {
            own["chat_template"] = settings["chat_template"]!.DeepClone();
            settings = own;
        }
        AtomicFile.WriteText(Path.Combine(folder, "tokenizer_config.json"), settings.ToJsonString(layout) + "\n");
    }

    static string Quote(string text) => "{{ '" + text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("'", "\\'", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal) + "' }}";

    static string TableName(int i) => $"conversion-{i}.json";
}
