using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Text;

namespace Polymath.Models.Export;

/// <summary>
/// A tokenizer as llama.cpp reads it: byte-level BPE as <c>gpt2</c> with its merges and the name of its pre-tokenizer, BPE over pieces with
/// byte fallback as <c>llama</c>, with the order of the merges as the pieces' scores; unigram pieces as <c>t5</c>.
/// </summary>
public sealed class GgufTokenizer
{
    private const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    // llama.cpp's tokens of a model named Phi-3.
    private static readonly string[] phiTokens = ["</s>", "<unk>", "<s>", "<|endoftext|>"];

    private readonly string folder;
    private readonly JsonObject content, settings;
    private readonly Tokenizer tokenizer;

    /// <summary>A tokenizer that is to be exported.</summary>
    /// <param name="folder">The model's folder.</param>
    public GgufTokenizer(string folder)
    {
        this.folder = folder;
        tokenizer = Tokenizer.Load(folder);
        content = Object(tokenizer.ToJson().Span);
        var file = Path.Combine(folder, "tokenizer_config.json");
        settings = File.Exists(file) ? Object(File.ReadAllBytes(file)) : [];
    }

    private JsonObject Object(ReadOnlySpan<byte> json)
    {
        try
        {
            var reader = new Utf8JsonReader(json);
            return JsonNode.Parse(ref reader) as JsonObject ?? throw new InputException($"The tokenizer of {folder} is not a JSON object.");
        }
        catch (JsonException e)
        {
            throw new InputException($"The tokenizer of {folder} cannot be read: {e.Message}", e);
        }
    }

    private InputException Unfit(string what) =>
        new($"The tokenizer of {folder} cannot be exported to GGUF: {what}. llama.cpp knows byte-level BPE (the patterns of GPT-2, Llama "
            + "3, Qwen, BLOOM and others), BPE over pieces with byte fallback (Llama 2's) and unigram pieces (T5's).");

    /// <summary>Adds the tokenizer to a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="count">The model's tokens; ids without a token are written as unused.</param>
    /// <param name="configuration">The model's configuration, which may name the special tokens.</param>
    public void AddTo(GgufWriter file, int count, JsonObject configuration)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(configuration);
        if (content["model"] is not JsonObject model) throw Unfit("it has no model");
        List<string> tokens;
        List<int> types;
        switch (model["type"]?.ToString())
        {
            case null or "BPE" when model["vocab"] is JsonObject vocabulary:
                (tokens, types) = Tokens(
                    vocabulary.Select(pair => (pair.Key, pair.Value!.GetValue<int>())), count, model["unk_token"]?.ToString());
                AddMerges(file, model, tokens);
                break;
            case "Unigram" when model["vocab"] is JsonArray pieces:
                var names = pieces.Select(piece => piece![0]!.ToString()).ToList();
                (tokens, types) = Tokens(
                    names.Select((name, id) => (name, id)), count, names.ElementAtOrDefault(model["unk_id"]?.GetValue<int>() ?? -1));
                AddUnigram(
                    file, model, [.. pieces.Select(piece => piece![1]!.GetValue<float>()), .. Enumerable.Repeat(0f, count - names.Count)]);
                break;
            default:
                throw Unfit($"its model is {model["type"]?.ToString() ?? "without a vocabulary"}");
        }
        file.Add("tokenizer.ggml.tokens", tokens);
        file.Add("tokenizer.ggml.token_type", types);
        AddSpecial(file, configuration);
        if (Template() is { } template) file.Add("tokenizer.chat_template", template);
    }

    private static (string, string) Halves(string merge)
    {
        var cut = merge.IndexOf(' ', 1);
        return (merge[..cut], merge[(cut + 1)..]);
    }

    private void AddMerges(GgufWriter file, JsonObject model, List<string> tokens)
    {
        var merges = (model["merges"] as JsonArray ?? [])
            .Select(merge => merge is JsonArray pair ? (pair[0]!.ToString(), pair[1]!.ToString()) : Halves(merge!.ToString())).ToList();
        if (Stages("pre_tokenizer").Any(stage => stage["type"]?.ToString() == "ByteLevel")) AddByteLevel(file, merges, model);
        else if (model["byte_fallback"]?.GetValue<bool>() is true) AddPieces(file, merges, tokens);
        else throw Unfit("its BPE is neither over bytes nor does it fall back to them");
    }

    private (List<string> Tokens, List<int> Types) Tokens(IEnumerable<(string Token, int Id)> vocabulary, int count, string? unknown)
    {
        var tokens = Enumerable.Range(0, count).Select(i => $"[PAD{i}]").ToList();
        var types = Enumerable.Repeat(Unused, count).ToList();
        foreach (var (token, id) in vocabulary)
        {
            tokens[id] = token;
            types[id] = token switch { _ when token == unknown => Unknown, _ when IsByte(token) => Byte, _ => Normal };
        }
        foreach (var added in (content["added_tokens"] as JsonArray ?? []).OfType<JsonObject>())
        {
            var id = added["id"]!.GetValue<int>();
            tokens[id] = added["content"]!.ToString();
            if (types[id] != Unknown) types[id] = added["special"]?.GetValue<bool>() is true ? Control : UserDefined;
        }
        return (tokens, types);
    }

    private bool IsByte(string token) => content["model"]!["byte_fallback"]?.GetValue<bool>() is true
        && token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>';

    private List<JsonObject> Stages(string key) => content[key] switch
    {
        JsonObject { } stage when stage["pretokenizers"] is JsonArray inner => [.. inner.OfType<JsonObject>()],
        JsonObject { } stage when stage["normalizers"] is JsonArray inner => [.. inner.OfType<JsonObject>()],
        JsonObject stage => [stage],
        _ => [],
    };

    private void AddByteLevel(GgufWriter file, List<(string Left, string Right)> merges, JsonObject model)
    {
        var stages = Stages("pre_tokenizer");
        var wholeWords = model["ignore_merges"]?.GetValue<bool>() is true;
        var made = merges.Select(merge => merge.Left + merge.Right).ToHashSet(StringComparer.Ordinal);
        // When merges lead to all words that are tokens, ignore_merges makes no difference.
        var name = GgufPatterns.NameOf(stages, wholeWords)
            ?? (wholeWords && (model["vocab"] as JsonObject ?? []).All(pair => pair.Key.Length == 1 || made.Contains(pair.Key))
                ? GgufPatterns.NameOf(stages, wholeWords: false)
                : null)
                ?? throw Unfit("its pre-tokenizer splits by "
                    + $"{GgufPatterns.Describe(stages)}{(wholeWords ? ", words that are tokens whole" : "")}");
        if (stages.Any(stage => stage["add_prefix_space"]?.GetValue<bool>() is true))
            throw Unfit("it puts a space before a text, which llama.cpp's byte-level BPE does not");
        // llama.cpp does not normalize the text. NFC changes only text that is not composed, which is rare.
        if (Stages("normalizer").Any(stage => stage["type"]?.ToString() != "NFC")) throw Unfit("its normalizer changes the text");
        file.Add("tokenizer.ggml.model", "gpt2");
        file.Add("tokenizer.ggml.pre", name);
        file.Add("tokenizer.ggml.merges", merges.Select(merge => $"{merge.Left} {merge.Right}").ToList());
        file.Add("tokenizer.ggml.add_space_prefix", false);
    }

    private void AddUnigram(GgufWriter file, JsonObject model, List<float> scores)
    {
        if (model["byte_fallback"]?.GetValue<bool>() is true)
            throw Unfit("its unigram pieces fall back to bytes, which llama.cpp's do not");
        List<JsonObject> changes = Stages("normalizer"), stages = Stages("pre_tokenizer");
        if (stages.FirstOrDefault(stage => stage["type"]?.ToString() is not ("Metaspace" or "WhitespaceSplit")) is { } stage)
            throw Unfit($"its pre-tokenizer splits by {stage["type"]}");
        // Runs of spaces become one space; everything else is in the table of characters.
        if (changes.FirstOrDefault(change => change["type"]?.ToString() is not ("Precompiled" or "Replace" or "Strip")) is { } change)
            throw Unfit($"its normalizer changes the text by {change["type"]}");
        var replaces = changes.Where(change => change["type"]?.ToString() == "Replace").ToList();
        if (replaces.FirstOrDefault(change => change["pattern"]?["Regex"]?.ToString() != " {2,}") is { } replace)
            throw Unfit($"its normalizer replaces {replace["pattern"]?.ToJsonString()}");
        file.Add("tokenizer.ggml.model", "t5");
        file.Add("tokenizer.ggml.pre", "default");
        file.Add("tokenizer.ggml.scores", scores);
        file.Add("tokenizer.ggml.add_space_prefix", Prefixed());
        file.Add(
            "tokenizer.ggml.remove_extra_whitespaces",
            replaces.Count > 0 || stages.Any(stage => stage["type"]?.ToString() == "WhitespaceSplit"));
        if (changes.FirstOrDefault(change => change["type"]?.ToString() == "Precompiled")?["precompiled_charsmap"]
            ?.ToString() is { Length: > 0 } table)
            file.Add("tokenizer.ggml.precompiled_charsmap", Convert.FromBase64String(table));
    }

    // Whether a space is put before a text.
    private bool Prefixed() => Stages("normalizer").Any(stage => stage["type"]?.ToString() == "Prepend")
        || Stages("pre_tokenizer")
            .Any(stage => stage["type"]?.ToString() == "Metaspace" && stage["prepend_scheme"]?.ToString() is not "never"
                && stage["add_prefix_space"]?.ToJsonString() is not "false");

    // llama.cpp joins the two neighbours whose piece has the highest score, which comes from the piece's first merge. Pieces that no merge
    // makes are joined last.
    private void AddPieces(GgufWriter file, List<(string Left, string Right)> merges, List<string> tokens)
    {
        var scores = new Dictionary<string, float>(StringComparer.Ordinal);
        for (var i = 0; i < merges.Count; i++) scores.TryAdd(merges[i].Left + merges[i].Right, -i);
        var change = Stages("normalizer")
            .FirstOrDefault(change => change["type"]?.ToString() != "Prepend"
                && !(change["type"]?.ToString() == "Replace" && change["pattern"]?["String"]?.ToString() == " "));
        if (change is not null) throw Unfit($"its normalizer changes the text by {change["type"]}");
        file.Add("tokenizer.ggml.model", "llama");
        file.Add("tokenizer.ggml.pre", "default");
        file.Add("tokenizer.ggml.scores", tokens.Select(token => scores.GetValueOrDefault(token, token.Length == 1 ? 0 : -1e6f)).ToList());
        file.Add("tokenizer.ggml.add_space_prefix", Prefixed());
    }

    private void AddSpecial(GgufWriter file, JsonObject configuration)
    {
        foreach (var (key, name) in new[]
        {
            ("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding"),
        })
        {
            var token = settings[key] is JsonObject whole ? whole["content"]?.ToString() : settings[key]?.ToString();
            var id = token is null ? null : tokenizer.IdOf(token);
            id ??= configuration[key + "_id"] switch
            {
                JsonArray { Count: > 0 } several => several[0]!.GetValue<int>(),
                JsonValue one => one.GetValue<int>(),
                _ => null,
            };
            if (id is { } found) file.Add($"tokenizer.ggml.{name}_token_id", found);
        }
        // Whether the tokenizer puts a special token before a text, and one after it.
        int[] plain = tokenizer.Encode("a"), marked = tokenizer.Encode("a", addSpecialTokens: true);
        bool Added(int token) => marked.Length > plain.Length && tokenizer.SpecialTokens.Values.Contains(token);
        file.Add("tokenizer.ggml.add_bos_token", Added(marked[0]));
        file.Add("tokenizer.ggml.add_eos_token", Added(marked[^1]));
    }

    /// <summary>
    /// A model's name in a form that llama.cpp can load: it needs four special tokens in a model whose name contains "phi3" or "phi-3", and
    /// refuses the model without them.
    /// </summary>
    /// <param name="name">The name.</param>
    public string NameFor(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        var lacks = phiTokens.Any(token => tokenizer.IdOf(token) is null);
        return lacks
            ? name.Replace("phi3", "phi 3", StringComparison.OrdinalIgnoreCase)
                .Replace("phi-3", "phi 3", StringComparison.OrdinalIgnoreCase)
            : name;
    }

    private string? Template()
    {
        var file = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(file)) return File.ReadAllText(file);
        return settings["chat_template"] switch
        {
            JsonValue one => one.ToString(),
            JsonArray several =>
                several.OfType<JsonObject>().FirstOrDefault(item => item["name"]?.ToString() == "default")?["template"]?.ToString(),
            _ => null,
        };
    }
}
