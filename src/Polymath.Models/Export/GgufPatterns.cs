using System.Text.Json.Nodes;

namespace Polymath.Models.Export;

/// <summary>
/// llama.cpp's names for the ways in which byte-level tokenizers split a text. When it has several names for one way, the simplest is used.
/// </summary>
internal static class GgufPatterns
{
    private const string Contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        Rest = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Letters = @"|[^\r\n\p{L}\p{N}]?\p{L}+|";
    private const string Tiktoken = @"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|",
        TiktokenRest = @"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
    private const string Cased = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
        CasedUpper = @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
        CasedRest = @"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string Bloom = @" ?[^(\s|[.,!?…。，、।۔،])]+";

    // The stages in order, and whether whole words come before merges.
    private static readonly (string Stages, bool WholeWords, string Name)[] known =
    [
        ("bytes", false, "gpt-2"),
        (Contractions + Letters + @"\p{N}{1,3}" + Rest, true, "llama-bpe"),
        (Contractions + Letters + @"\p{N}{1,3}" + Rest, false, "dbrx"),
        (Tiktoken + @"\p{N}{1,3}" + TiktokenRest, true, "llama-bpe"),
        (Tiktoken + @"\p{N}{1,3}" + TiktokenRest, false, "dbrx"),
        (Contractions + Letters + @"\p{N}" + Rest, false, "qwen2"),
        (Tiktoken + @"\p{N}" + TiktokenRest, false, "bailingmoe"),
        (Contractions + @"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", false, "qwen35"),
        (Contractions + Letters + @"\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+", false, "seed-coder"),
        (Cased + Contractions + "?" + CasedUpper + Contractions + @"?|\p{N}{1,3}" + CasedRest, false, "gpt-4o"),
        (Cased + CasedUpper + @"|\p{N}" + CasedRest, true, "tekken"),
        (Bloom, false, "bloom"),
        (Bloom + " then digits", false, "viking"),
        ("digits then bytes", false, "starcoder"),
        (@"[\r\n] then \s?\p{L}+ then \s?\p{P}+ then [一-龥ࠀ-一가-퟿]+ then digits", false, "deepseek-coder"),
        (@"\p{N}{1,3} then [一-龥぀-ゟ゠-ヿ]+ then [!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| "
            + @"?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", false, "deepseek-v3"),
    ];

    /// <summary>The name of a way to split, or null where llama.cpp has none.</summary>
    /// <param name="stages">The pre-tokenizer's stages.</param>
    /// <param name="wholeWords">Whether a word that is a token is used whole (<c>ignore_merges</c>).</param>
    internal static string? NameOf(IReadOnlyList<JsonObject> stages, bool wholeWords)
    {
        var ways = string.Join(" then ", stages.Select(Way).Where(way => way.Length > 0));
        return known.FirstOrDefault(item => item.Stages == ways && item.WholeWords == wholeWords).Name;
    }

    // A last byte-level stage that splits nothing does not change the earlier splits.
    private static string Way(JsonObject stage) => stage["type"]?.ToString() switch
    {
        "ByteLevel" => stage["use_regex"]?.GetValue<bool>() is false ? "" : "bytes",
        "Digits" when stage["individual_digits"]?.GetValue<bool>() is true => "digits",
        "Split" when stage["behavior"]?.ToString() == "Isolated" && stage["invert"]?.GetValue<bool>() is not true =>
            stage["pattern"]?["Regex"]?.ToString() ?? "a text",
        var other => other ?? "nothing",
    };

    /// <summary>A way to split in words, for a message.</summary>
    /// <param name="stages">The pre-tokenizer's stages.</param>
    internal static string Describe(IReadOnlyList<JsonObject> stages) => string.Join(", then ", stages.Select(
        stage => stage["type"]?.ToString() == "Split" ? $"'{Way(stage)}'" : stage["type"]?.ToString()));
}
