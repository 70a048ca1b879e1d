using System.Text.Json.Nodes;
using Polymath.Text;
using Polymath.Text.Prompts;

namespace Polymath.Tests.Text.Prompts;

/// <summary>
/// A reference case of prompt learning: a folder with <c>case.json</c> and what is expected. It is among the fixtures, or in
/// <c>prompts</c> within the folder that <c>POLYMATH_CASES</c> names.
/// </summary>
internal sealed class PromptCase
{
    private static readonly Dictionary<string, Tokenizer> tokenizers = new(StringComparer.Ordinal);

    public PromptCase(params string[] parts)
    {
        Folder = Path.Combine([Root, .. parts]);
        Settings = Read("case.json");
    }

    public static string Root { get; } = Environment.GetEnvironmentVariable("POLYMATH_CASES") is { Length: > 0 } folder
        ? Path.Combine(Path.GetFullPath(folder), "prompts")
        : TextFixtures.At("prompts");

    public string Folder { get; }

    public JsonObject Settings { get; }

    public JsonObject Expected => Read("expected.json");

    public JsonObject Read(string name) => JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder, name)))!.AsObject();

    /// <summary>The folders of a group, whose names begin with some text.</summary>
    public static IEnumerable<string> Names(string group, string start = "") => !Directory.Exists(Path.Combine(Root, group))
        ? []
        : Directory.GetDirectories(Path.Combine(Root, group)).Select(folder => Path.GetFileName(folder))
            .Where(name => name.StartsWith(start, StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    /// <summary>A model's folder: of the cases, or of the fixtures where they have none.</summary>
    public static string Model(string name)
    {
        var own = Path.Combine(Root, "models", name);
        return Directory.Exists(own) ? own : TextFixtures.At("prompts", "models", name);
    }

    public static Tokenizer Tokenizer(string name)
    {
        lock (tokenizers)
        {
            if (tokenizers.TryGetValue(name, out var known)) return known;
            return tokenizers[name] = Polymath.Text.Tokenizer.Load(Path.Combine(Model(name), "tokenizer.json"));
        }
    }

    public static JsonObject Specials(string name) =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(Model(name), "special_tokens.json")))!.AsObject();

    public static PromptTokens Tokens(string name)
    {
        var (tokenizer, all) = (Tokenizer(name), Specials(name));
        int? Id(string purpose) => all["specials"]![purpose]?.GetValue<string>() is { } token ? tokenizer.IdOf(token) : null;
        return new(
            Id("mask"),
            Id("cls"),
            Id("sep"),
            Id("pad"),
            Id("eos"),
            Id("bos"),
            [.. all["additional_special_tokens"]!.AsArray().Select(token => tokenizer.IdOf(token!.GetValue<string>())!.Value)]);
    }

    public static PromptTokenizer Prompts(string name, JsonObject settings, string? wrapper = null)
    {
        var (tokenizer, tokens) = (Tokenizer(name), Tokens(name));
        var read = new PromptSettings(
            settings["max_seq_length"]?.GetValue<int>() ?? 512,
            PromptCut.Named(settings["truncate_method"]?.GetValue<string>() ?? "tail"),
            settings["teacher_forcing"]?.GetValue<bool>() ?? false,
            settings["predict_eos_token"]?.GetValue<bool>() ?? false,
            settings["decoder_max_length"]?.GetValue<int>() ?? 128,
            settings["decode_from_pad"]?.GetValue<bool>() ?? true);
        return (settings["wrapper"]?.GetValue<string>() ?? wrapper ?? Specials(name)["wrapper"]!.GetValue<string>()) switch
        {
            "mlm" => new MaskedPromptTokenizer(tokenizer, tokens, read),
            "lm" => new DecoderPromptTokenizer(tokenizer, tokens, read),
            "t5" => new SpanPromptTokenizer(tokenizer, tokens, read),
            "t5lm" => new SpanPromptTokenizer(tokenizer, tokens, read, asLanguageModel: true),
            var other => throw new InvalidOperationException(other),
        };
    }

    public static PromptTemplate Template(string text, string kind, string tokenizer) =>
        kind == "manual" ? PromptTemplate.Hard(text) : PromptTemplate.Mixed(text, Tokenizer(tokenizer));

    /// <summary>An example; values that are no texts are left out.</summary>
    public static PromptExample Example(JsonNode node)
    {
        var given = node.AsObject();
        static Dictionary<string, string> Texts(JsonObject values) => values.Where(value => value.Value is JsonValue text
                && text.GetValueKind() == System.Text.Json.JsonValueKind.String)
            .ToDictionary(value => value.Key, value => value.Value!.GetValue<string>());
        return new(
            given["guid"]?.ToString() ?? "example",
            Texts(given),
            given["meta"] is JsonObject meta ? Texts(meta) : [],
            (int?)given["label"],
            given["tgt_text"] switch
            {
                null => null,
                JsonArray list => [.. list.Select(text => text!.GetValue<string>())],
                var one => [one.GetValue<string>()],
            });
    }

    public static int[] Whole(JsonNode? node) => [.. node!.AsArray().Select(id => id!.GetValue<int>())];
}
