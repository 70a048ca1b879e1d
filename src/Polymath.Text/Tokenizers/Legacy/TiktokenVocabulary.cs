using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Polymath.Text;

/// <summary>
/// A vocabulary that is published as a file of ranks. The file says neither how a text is split nor which special tokens there are: both
/// are in separate code (tiktoken's <c>openai_public.py</c>, Llama 3's <c>tokenizer.py</c>, Qwen's <c>tokenization_qwen.py</c>, Kimi's
/// <c>tokenization_kimi.py</c>), so both are stored here.
/// </summary>
/// <param name="Name">The vocabulary's name, which is also that of its file.</param>
/// <param name="Pattern">How a text is split.</param>
/// <param name="Special">The special tokens with their ids.</param>
internal sealed record TiktokenVocabulary(string Name, string Pattern, IReadOnlyList<(string Token, int Id)> Special)
{
    private const string O200kPattern =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string KimiPattern =
        @"[\p{Han}]+"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
        + @"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        + @"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string Text = "<|endoftext|>", Prefix = "<|fim_prefix|>", Middle = "<|fim_middle|>", Suffix = "<|fim_suffix|>",
        Prompt = "<|endofprompt|>";

    // The digests are those that tiktoken checks its downloads with (openai_public.py).
    private static readonly (TiktokenVocabulary Vocabulary, string Digest)[] published =
    [
        (new("r50k_base", WordScanner.Gpt2Pattern, [(Text, 50256)]), "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"),
        (new("p50k_base", WordScanner.Gpt2Pattern, [(Text, 50256)]), "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069"),
        (new("cl100k_base", WordScanner.Llama3Pattern,
            [(Text, 100257), (Prefix, 100258), (Middle, 100259), (Suffix, 100260), (Prompt, 100276)]),
            "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
        (new("o200k_base", O200kPattern, [(Text, 199999), (Prompt, 200018)]),
            "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    ];

    // The ranks of a published vocabulary with more special tokens; only the file's name distinguishes them from the plain ones.
    private static readonly (TiktokenVocabulary Vocabulary, string Base)[] edited =
    [
        (new("p50k_edit", WordScanner.Gpt2Pattern, [(Text, 50256), (Prefix, 50281), (Middle, 50282), (Suffix, 50283)]), "p50k_base"),
        (new("o200k_harmony", O200kPattern, Harmony()), "o200k_base"),
        (new("gpt2", WordScanner.Gpt2Pattern, [(Text, 50256)]), "r50k_base"),
    ];

    /// <summary>Whether a text is normalized to NFC first (Qwen).</summary>
    public bool Composes { get; init; }

    /// <summary>The token before a text; null for none.</summary>
    public string? Begin { get; init; }

    /// <summary>The names that are known.</summary>
    public static string Known { get; } =
        string.Join(", ", published.Select(known => known.Vocabulary.Name)
        .Concat(edited.Select(known => known.Vocabulary.Name))) + ", llama3, qwen, glm4, kimi";

    /// <summary>The vocabulary of a file; null when it is unknown.</summary>
    /// <param name="file">The file's name.</param>
    /// <param name="kind">The class that the folder's settings name; may be empty.</param>
    /// <param name="ranks">The tokens, as <see cref="ByteAlphabet"/> writes bytes, and their ranks.</param>
    /// <param name="added">The tokens that the folder's settings add.</param>
    public static TiktokenVocabulary? Of(string file, string kind, IReadOnlyDictionary<string, int> ranks,
        IReadOnlyCollection<string> added)
    {
        var first = ranks.Values.Max() + 1;
        var stem = Path.GetFileNameWithoutExtension(file).ToLowerInvariant();
        bool Named(string name) => Regex.IsMatch(stem, $"(?<![a-z0-9]){name}(?![a-z0-9])");
        // The ranks are more reliable than the file's name, which only tells apart what has the same ranks.
        if (published.Any(known => Count(known.Vocabulary) == ranks.Count) && Digest(ranks) is var digest
            && Array.Find(published, known => known.Digest == digest).Vocabulary is { } same)
            return Array.Find(edited, known => known.Base == same.Name && Named(known.Vocabulary.Name)).Vocabulary ?? same;
        if (Array.Find(edited, known => Named(known.Vocabulary.Name)).Vocabulary is { } named)
            return named;
        if (Array.Find(published, known => Named(known.Vocabulary.Name)).Vocabulary is { } called)
            return called;
        if (stem.StartsWith("qwen", StringComparison.Ordinal) || kind.StartsWith("QWen", StringComparison.OrdinalIgnoreCase))
            return Qwen(first);
        if (kind.StartsWith("ChatGLM", StringComparison.Ordinal) || added.Contains("[gMASK]"))
            return new("glm4", WordScanner.Llama3Pattern, []);
        if (kind == "TikTokenTokenizer" || stem == "tiktoken" && ranks.Count == 163_584) return Kimi(first);
        return ranks.Count == 128_000 || added.Contains("<|begin_of_text|>") || stem.Contains("llama3", StringComparison.Ordinal)
            ? Llama3(first) : null;
    }

    private static int Count(TiktokenVocabulary vocabulary) =>
        vocabulary.Name switch { "r50k_base" => 50256, "p50k_base" => 50280, "cl100k_base" => 100256, _ => 199998 };

    private static string Digest(IReadOnlyDictionary<string, int> ranks)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (token, rank) in ranks.OrderBy(entry => entry.Value))
        {
            byte[] bytes = [.. token.Select(letter => (byte)ByteAlphabet.ByteOf(letter))];
            hash.AppendData(Encoding.ASCII.GetBytes($"{Convert.ToBase64String(bytes)} {rank}\n"));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static TiktokenVocabulary Qwen(int first)
    {
        string[] tokens = [Text, "<|im_start|>", "<|im_end|>", .. Enumerable.Range(0, 205).Select(i => $"<|extra_{i}|>")];
        return new("qwen", WordScanner.QwenPattern, Behind(first, tokens)) { Composes = true };
    }

    // Llama 3.1's names; those of 3.0 are the same except for three that were reserved.
    private static TiktokenVocabulary Llama3(int first)
    {
        static string Reserved(int i) => $"<|reserved_special_token_{i}|>";
        string[] tokens =
        [
            "<|begin_of_text|>", "<|end_of_text|>", Reserved(0), Reserved(1), "<|finetune_right_pad_id|>", Reserved(2),
                "<|start_header_id|>", "<|end_header_id|>",
            "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", .. Enumerable.Range(3, 245).Select(Reserved),
        ];
        return new("llama3", WordScanner.Llama3Pattern, Behind(first, tokens)) { Begin = tokens[0] };
    }

    // Its first tokens have names in tokenizer_config.json, which win over these.
    private static TiktokenVocabulary Kimi(int first) =>
        new("kimi", KimiPattern, [.. Enumerable.Range(first, 256).Select(id => ($"<|reserved_token_{id}|>", id))]);

    private static List<(string Token, int Id)> Behind(int first, IEnumerable<string> tokens) =>
        [.. tokens.Select((token, i) => (token, first + i))];

    private static List<(string Token, int Id)> Harmony()
    {
        var named = new Dictionary<int, string>
        {
            [199998] = "<|startoftext|>", [199999] = Text, [200002] = "<|return|>", [200003] = "<|constrain|>",
            [200005] = "<|channel|>", [200006] = "<|start|>", [200007] = "<|end|>", [200008] = "<|message|>", [200012] = "<|call|>",
            [200018] = Prompt,
        };
        return [.. Enumerable.Range(199998, 201088 - 199998).Select(id => (named.GetValueOrDefault(id, $"<|reserved_{id}|>"), id))];
    }
}
