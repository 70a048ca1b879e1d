using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Text;

namespace Polymath.Models.Export;

/// <summary>
/// A tokenizer as llama.cpp reads it: byte-level BPE as <c>gpt2</c> with its merges and the name of its pre-tokenizer, BPE over pieces with byte fallback as <c>llama</c>,
/// where the merges' order becomes the pieces' scores.
/// </summary>
public sealed class GgufTokenizer
{
    const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    // The pre-tokenizers' patterns by llama.cpp's names for them. A bare byte-level stage splits as GPT-2 does.
    static readonly Dictionary<string, string> patterns = new(StringComparer.Ordinal)
    {
        [@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"] = "llama-bpe",
        [@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"] = "qwen2",
    };

    readonly string folder;
    readonly JsonObject content, settings;
    readonly Tokenizer tokenizer;

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

    JsonObject Object(ReadOnlySpan<byte> json)
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

    InputException Unfit(string what) => new($"The tokenizer of {folder} cannot be exported to GGUF: {what}. llama.cpp knows byte-level BPE (GPT-2's, Llama 3's and Qwen 2's patterns) and BPE over pieces with byte fallback (Llama 2's).");

    /// <summary>Adds the tokenizer to a file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="count">The model's tokens; ids without a token are written as unused.</param>
    /// <param name="configuration">The model's configuration, which may name the special tokens.</param>
    public void AddTo(GgufWriter file, int count, JsonObject configuration)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(configuration);
        if (content["model"] is not JsonObject model || model["type"]?.ToString() is not (null or "BPE") || model["vocab"] is not JsonObject vocabulary) throw Unfit($"its model is {content["model"]?["type"] ?? "not BPE"}");
        var merges = (model["merges"] as JsonArray ?? []).Select(merge => merge is JsonArray pair ? (pair[0]!.ToString(), pair[1]!.ToString()) : Halves(merge!.ToString())).ToList();
        var (tokens, types) = Tokens(vocabulary, count, model["unk_token"]?.ToString());
        if (Stages("pre_tokenizer").Any(stage => stage["type"]?.ToString() == "ByteLevel")) AddByteLevel(file, merges);
        else if (model["byte_fallback"]?.GetValue<bool>() is true) AddPieces(file, merges, tokens);
        else throw Unfit("its BPE is neither over bytes nor does it fall back to them");
        file.Add("tokenizer.ggml.tokens", tokens);
        file.Add("tokenizer.ggml.token_type", types);
        AddSpecial(file, configuration);
        if (Template() is { } template) file.Add("tokenizer.chat_template", template);
    }

    static (string, string) Halves(string merge)
    {
        var cut = merge.IndexOf(' ', 1);
        return (merge[..cut], merge[(cut + 1)..]);
    }

    (List<string> Tokens, List<int> Types) Tokens(JsonObject vocabulary, int count, string? unknown)
    {
        var tokens = Enumerable.Range(0, count).Select(i => $"[PAD{i}]").ToList();
        var types = Enumerable.Repeat(Unused, count).ToList();
        foreach (var (token, id) in vocabulary)
        {
            tokens[id!.GetValue<int>()] = token;
            types[id.GetValue<int>()] = token == unknown ? Unknown : IsByte(token) ? Byte : Normal;
        }
        foreach (var added in (content["added_tokens"] as JsonArray ?? []).OfType<JsonObject>())
        {
            var id = added["id"]!.GetValue<int>();
            tokens[id] = added["content"]!.ToString();
            if (types[id] != Unknown) types[id] = added["special"]?.GetValue<bool>() is true ? Control : UserDefined;
        }
        return (tokens, types);
    }

    bool IsByte(string token) => content["model"]!["byte_fallback"]?.GetValue<bool>() is true && token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>';

    List<JsonObject> Stages(string key) => content[key] switch
    {
        JsonObject { } stage when stage["pretokenizers"] is JsonArray inner => [.. inner.OfType<JsonObject>()],
        JsonObject { } stage when stage["normalizers"] is JsonArray inner => [.. inner.OfType<JsonObject>()],
        JsonObject stage => [stage],
        _ => [],
    };

    void AddByteLevel(GgufWriter file, List<(string Left, string Right)> merges)
    {
        var stages = Stages("pre_tokenizer");
        var split = stages.Where(stage => stage["type"]?.ToString() == "Split").Select(stage => stage["pattern"]?["Regex"]?.ToString() ?? "").ToList();
        var name = split.Count == 0 && stages.Count == 1 ? "gpt-2" : split.Count == 1 ? patterns.GetValueOrDefault(split[0]) : null;
        if (name is null) throw Unfit($"its pre-tokenizer splits by '{string.Join("', '", split)}'");
        // llama.cpp splits the text as it stands; NFC changes no text that is composed already, which nearly all is.
        if (Stages("normalizer").Any(stage => stage["type"]?.ToString() != "NFC")) throw Unfit("its normalizer changes the text");
        file.Add("tokenizer.ggml.model", "gpt2");
        file.Add("tokenizer.ggml.pre", name);
        file.Add("tokenizer.ggml.merges", merges.Select(merge => $"{merge.Left} {merge.Right}").ToList());
        file.Add("tokenizer.ggml.add_space_prefix", stages.Any(stage => stage["add_prefix_space"]?.GetValue<bool>() is true));
    }

    // llama.cpp joins the two neighbours whose piece has the highest score: that of its first merge. Pieces that no merge makes are joined last.
    void AddPieces(GgufWriter file, List<(string Left, string Right)> merges, List<string> tokens)
    {
        var scores = new Dictionary<string, float>(StringComparer.Ordinal);
        for (var i = 0; i < merges.Count; i++) scores.TryAdd(merges[i].Left + merges[i].Right, -i);
        var prefixed = Stages("normalizer").Any(stage => stage["type"]?.ToString() == "Prepend") || Stages("pre_tokenizer").Any(stage => stage["type"]?.ToString() == "Metaspace" && stage["prepend_scheme"]?.ToString() is not "never" && stage["add_prefix_space"]?.ToJsonString() is not "false");
        file.Add("tokenizer.ggml.model", "llama");
        file.Add("tokenizer.ggml.pre", "default");
        file.Add("tokenizer.ggml.scores", tokens.Select(token => scores.GetValueOrDefault(token, token.Length == 1 ? 0 : -1e6f)).ToList());
        file.Add("tokenizer.ggml.add_space_prefix", prefixed);
    }

    void AddSpecial(GgufWriter file, JsonObject configuration)
    {
        foreach (var (key, name) in new[] { ("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding") })
        {
            var token = settings[key] is JsonObject whole ? whole["content"]?.ToString() : settings[key]?.ToString();
            var id = token is null ? null : tokenizer.IdOf(token);
            id ??= configuration[key + "_id"] switch { JsonArray { Count: > 0 } several => several[0]!.GetValue<int>(), JsonValue one => one.GetValue<int>(), _ => null };
            if (id is { } found) file.Add($"tokenizer.ggml.{name}_token_id", found);
        }
        var begins = Begins();
        file.Add("tokenizer.ggml.add_bos_token", begins);
        file.Add("tokenizer.ggml.add_eos_token", false);
    }

    // Whether the tokenizer puts a special token before a text.
    bool Begins()
    {
        var plain = tokenizer.Encode("a");
        var whole = tokenizer.Encode("a", addSpecialTokens: true);
        return whole.Length > plain.Length && tokenizer.SpecialTokens.Values.Contains(whole[0]);
    }

    string? Template()
    {
        var file = Path.Combine(folder, "chat_template.jinja");
        if (File.Exists(file)) return File.ReadAllText(file);
        return settings["chat_template"] switch
        {
            JsonValue one => one.ToString(),
            JsonArray several => several.OfType<JsonObject>().FirstOrDefault(item => item["name"]?.ToString() == "default")?["template"]?.ToString(),
            _ => null,
        };
    }
}
