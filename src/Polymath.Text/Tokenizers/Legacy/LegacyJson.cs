using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Builds a <c>tokenizer.json</c> from the parts of older tokenizers.</summary>
internal static class LegacyJson
{
    /// <summary>The whole file.</summary>
    public static byte[] Compose(
        IEnumerable<AddedToken> added,
        JsonNode? normalizer,
        JsonNode? preTokenizer,
        JsonNode? postProcessor,
        JsonNode? decoder,
        JsonObject model)
        => JsonSerializer.SerializeToUtf8Bytes(new JsonObject
        {
            ["version"] = "1.0", ["truncation"] = null, ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. added.Select(token => new JsonObject
            {
                ["id"] = token.Id, ["content"] = token.Content, ["single_word"] = token.SingleWord, ["lstrip"] = token.LeftStrip,
                ["rstrip"] = token.RightStrip,
                ["normalized"] = token.Normalized, ["special"] = token.Special,
            })]),
            ["normalizer"] = normalizer, ["pre_tokenizer"] = preTokenizer, ["post_processor"] = postProcessor, ["decoder"] = decoder,
            ["model"] = model,
        }, JsonLayout.Indented);

    /// <summary>A stage that has only a kind.</summary>
    public static JsonObject Stage(string type) => new() { ["type"] = type };

    /// <summary>Several stages as one.</summary>
    public static JsonObject Sequence(string items, params JsonNode?[] stages) =>
        new() { ["type"] = "Sequence", [items] = new JsonArray([.. stages.Where(stage => stage is not null)]) };

    /// <summary>The byte-level stage.</summary>
    public static JsonObject ByteLevel(bool prefixSpace, bool useRegex) => new()
    {
        ["type"] = "ByteLevel", ["add_prefix_space"] = prefixSpace, ["trim_offsets"] = true, ["use_regex"] = useRegex,
    };

    /// <summary>Words by a pattern, then bytes.</summary>
    public static JsonObject SplitBytes(string pattern) => Sequence(
        "pretokenizers",
        new JsonObject
        {
            ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false,
        },
        ByteLevel(false, false));

    /// <summary>A byte-pair model.</summary>
    public static JsonObject Bpe(
        IEnumerable<KeyValuePair<string, int>> vocabulary,
        IEnumerable<(string Left, string Right)> merges,
        string? unknown,
        bool fallback,
        bool ignoreMerges) => new()
        {
            ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = unknown, ["continuing_subword_prefix"] = null,
            ["end_of_word_suffix"] = null, ["fuse_unk"] = unknown is not null,
            ["byte_fallback"] = fallback, ["ignore_merges"] = ignoreMerges,
            ["vocab"] = new JsonObject(vocabulary.Select(entry => KeyValuePair.Create(entry.Key, (JsonNode?)entry.Value))),
            ["merges"] = new JsonArray([.. merges.Select(merge => new JsonArray(merge.Left, merge.Right))]),
        };

    /// <summary>The tokens around one text and two texts, written as tokens and the letters A and B; null for none.</summary>
    public static JsonObject? Template(
        IReadOnlyList<(string Part, int Type)> single, IReadOnlyList<(string Part, int Type)> pair, Func<string, int> idOf)
    {
        var special = single.Concat(pair).Select(step => step.Part).Where(part => part is not ("A" or "B")).Distinct().ToList();
        return special.Count == 0 ? null : new JsonObject
        {
            ["type"] = "TemplateProcessing", ["single"] = Steps(single), ["pair"] = Steps(pair),
            ["special_tokens"] = new JsonObject(special.Select(token => KeyValuePair.Create(
                token,
                (JsonNode?)new JsonObject { ["id"] = token, ["ids"] = new JsonArray(idOf(token)), ["tokens"] = new JsonArray(token) }))),
        };
    }

    private static JsonArray Steps(IReadOnlyList<(string Part, int Type)> steps) => [.. steps.Select(step => new JsonObject
    {
        [step.Part is "A" or "B" ? "Sequence" : "SpecialToken"] = new JsonObject { ["id"] = step.Part, ["type_id"] = step.Type },
    })];
}
