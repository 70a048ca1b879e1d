using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Writes the result of a trainer as a <c>tokenizer.json</c> and reads it back, so that a new tokenizer and a loaded one are the same.
/// </summary>
internal static class TokenizerJson
{
    /// <summary>A byte-level tokenizer like GPT-2's.</summary>
    public static Tokenizer ByteLevel(
        IReadOnlyList<string> vocabulary, IReadOnlyList<(string Left, string Right)> merges, IReadOnlyList<string> specialTokens)
        => Build(specialTokens, writer =>
        {
            writer.WriteNull("normalizer");
            WriteByteLevel(writer, "pre_tokenizer", false);
            writer.WriteNull("post_processor");
            WriteByteLevel(writer, "decoder", true);
        }, writer => WriteModel(writer, vocabulary, merges, false));

    /// <summary>A tokenizer of characters, with bytes for other characters.</summary>
    public static Tokenizer Characters(IReadOnlyList<string> vocabulary, IReadOnlyList<string> specialTokens)
        => Build(specialTokens, writer =>
        {
            writer.WriteNull("normalizer");
            writer.WriteNull("pre_tokenizer");
            writer.WriteNull("post_processor");
            WriteSequence(writer, "decoder", "decoders", ["ByteFallback", "Fuse"]);
        }, writer => WriteModel(writer, vocabulary, [], true));

    /// <summary>A WordPiece tokenizer like BERT's.</summary>
    public static Tokenizer WordPiece(
        IReadOnlyList<string> vocabulary, IReadOnlyList<string> specialTokens, string unknown, bool normalizes)
        => Build(specialTokens, writer =>
        {
            if (normalizes)
                WriteObject(
                    writer,
                    "normalizer",
                    ("type", "BertNormalizer"),
                    ("clean_text", true),
                    ("handle_chinese_chars", true),
                    ("strip_accents", null),
                    ("lowercase", true));
            else
                writer.WriteNull("normalizer");
            WriteObject(writer, "pre_tokenizer", ("type", "BertPreTokenizer"));
            writer.WriteNull("post_processor");
            WriteObject(
                writer,
                "decoder",
                ("type", "WordPiece"),
                ("prefix", WordPieceTrainer.Prefix),
                ("cleanup", false));
        }, writer =>
        {
            writer.WriteStartObject("model");
            writer.WriteString("type", "WordPiece");
            writer.WriteString("unk_token", unknown);
            writer.WriteString("continuing_subword_prefix", WordPieceTrainer.Prefix);
            writer.WriteNumber("max_input_chars_per_word", 100);
            WriteVocabulary(writer, vocabulary);
            writer.WriteEndObject();
        });

    /// <summary>A unigram tokenizer that writes spaces as a sign, with bytes for unknown characters.</summary>
    public static Tokenizer Unigram(IReadOnlyList<(string Token, double Score)> pieces, IReadOnlyList<string> specialTokens, int unknown)
        => Build(specialTokens, writer =>
        {
            writer.WriteNull("normalizer");
            WriteObject(
                writer,
                "pre_tokenizer",
                ("type", "Metaspace"),
                ("replacement", UnigramTrainer.Space),
                ("prepend_scheme", "never"),
                ("split", true));
            writer.WriteNull("post_processor");
            WriteSequence(writer, "decoder", "decoders", ["ByteFallback", "Metaspace"]);
        }, writer =>
        {
            writer.WriteStartObject("model");
            writer.WriteString("type", "Unigram");
            writer.WriteNumber("unk_id", unknown);
            writer.WriteStartArray("vocab");
            foreach (var (token, score) in pieces)
            {
                writer.WriteStartArray();
                writer.WriteStringValue(token);
                writer.WriteNumberValue(score);
                writer.WriteEndArray();
            }

            writer.WriteEndArray();
            writer.WriteBoolean("byte_fallback", true);
            writer.WriteEndObject();
        });

    /// <summary>A tokenizer that puts tokens before and behind each text, as BERT's and T5's do.</summary>
    public static Tokenizer Framed(Tokenizer tokenizer, string? open, string close)
    {
        int IdOf(string token) =>
            tokenizer.IdOf(token) ?? throw new InputException($"the tokenizer has no token '{token}'. Add it to its special tokens.");
        JsonObject Special(string token, int part) => new() { ["SpecialToken"] = new JsonObject { ["id"] = token, ["type_id"] = part } };
        JsonObject Text(string name, int part) => new() { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = part } };
        JsonObject Known(string token) => new() { ["id"] = token, ["ids"] = new JsonArray(IdOf(token)), ["tokens"] = new JsonArray(token) };
        JsonNode[] first = [.. open is null ? [] : new[] { Special(open, 0) }, Text("A", 0), Special(close, 0)];
        var content = JsonNode.Parse(tokenizer.ToJson().Span)!;
        content["post_processor"] = new JsonObject
        {
            ["type"] = "TemplateProcessing",
            ["single"] = new JsonArray([.. first.Select(step => step.DeepClone())]),
            ["pair"] = new JsonArray([.. first, Text("B", 1), Special(close, 1)]),
            ["special_tokens"] = new JsonObject(
                new[] { open, close }.OfType<string>().Select(token => KeyValuePair.Create(token, (JsonNode?)Known(token)))),
        };
        return TokenizerReader.Read(Tokenizer.FileName, JsonSerializer.SerializeToUtf8Bytes(content, written));
    }

    private static readonly JsonSerializerOptions written =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    /// <summary>Refuses special tokens that could be mistaken for text.</summary>
    /// <exception cref="InputException">A token is empty, repeated, a single character or the name of a byte.</exception>
    public static void CheckSpecial(IReadOnlyList<string> specialTokens)
    {
        foreach (var (index, token) in specialTokens.Index())
        {
            if (token.EnumerateRunes().Count() < 2 || ByteFallbackStage.ByteOf(token) >= 0)
                throw new InputException($"the special token '{token}' could be mistaken for text. Write special tokens like <|name|>.");
            if (specialTokens.Take(index).Contains(token))
                throw new InputException($"the special token '{token}' is listed twice. List it once.");
        }
    }

    private static Tokenizer Build(
        IReadOnlyList<string> specialTokens, Action<Utf8JsonWriter> writeSteps, Action<Utf8JsonWriter> writeModel)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(
            stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            writer.WriteString("version", "1.0");
            writer.WriteNull("truncation");
            writer.WriteNull("padding");
            WriteAdded(writer, specialTokens);
            writeSteps(writer);
            writeModel(writer);
            writer.WriteEndObject();
        }

        return TokenizerReader.Read(Tokenizer.FileName, stream.ToArray());
    }

    private static void WriteAdded(Utf8JsonWriter writer, IReadOnlyList<string> specialTokens)
    {
        writer.WriteStartArray("added_tokens");
        foreach (var (id, token) in specialTokens.Index())
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", id);
            writer.WriteString("content", token);
            foreach (var flag in (string[])["single_word", "lstrip", "rstrip", "normalized"])
                writer.WriteBoolean(flag, false);
            writer.WriteBoolean("special", true);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteByteLevel(Utf8JsonWriter writer, string name, bool prefixSpace)
        => WriteObject(
            writer,
            name,
            ("type", "ByteLevel"),
            ("add_prefix_space", prefixSpace),
            ("trim_offsets", true),
            ("use_regex", true));

    private static void WriteSequence(Utf8JsonWriter writer, string name, string items, IReadOnlyList<string> steps)
    {
        writer.WriteStartObject(name);
        writer.WriteString("type", "Sequence");
        writer.WriteStartArray(items);
        foreach (var step in steps)
        {
            writer.WriteStartObject();
            writer.WriteString("type", step);
            if (step == "Metaspace")
                WriteMembers(writer, ("replacement", UnigramTrainer.Space), ("prepend_scheme", "never"), ("split", true));
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteObject(Utf8JsonWriter writer, string name, params ReadOnlySpan<(string Name, object? Value)> members)
    {
        writer.WriteStartObject(name);
        WriteMembers(writer, members);
        writer.WriteEndObject();
    }

    private static void WriteMembers(Utf8JsonWriter writer, params ReadOnlySpan<(string Name, object? Value)> members)
    {
        foreach (var (name, value) in members)
        {
            if (value is bool flag)
                writer.WriteBoolean(name, flag);
            else
                writer.WriteString(name, (string?)value);
        }
    }

    private static void WriteModel(
        Utf8JsonWriter writer, IReadOnlyList<string> vocabulary, IReadOnlyList<(string Left, string Right)> merges, bool byteFallback)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        foreach (var option in (string[])["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
            writer.WriteNull(option);
        writer.WriteBoolean("fuse_unk", false);
        writer.WriteBoolean("byte_fallback", byteFallback);
        writer.WriteBoolean("ignore_merges", false);
        WriteVocabulary(writer, vocabulary);
        writer.WriteStartArray("merges");
        foreach (var (left, right) in merges)
        {
            writer.WriteStartArray();
            writer.WriteStringValue(left);
            writer.WriteStringValue(right);
            writer.WriteEndArray();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static void WriteVocabulary(Utf8JsonWriter writer, IReadOnlyList<string> vocabulary)
    {
        writer.WriteStartObject("vocab");
        foreach (var (id, token) in vocabulary.Index())
            writer.WriteNumber(token, id);
        writer.WriteEndObject();
    }
}
