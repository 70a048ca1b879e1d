using System.Text.Encodings.Web;
using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Writes what a trainer has learned as a <c>tokenizer.json</c> and reads it back, so that a fresh tokenizer and a loaded one are the same
/// thing.</summary>
internal static class TokenizerJson
{
    /// <summary>A byte-level tokenizer as GPT-2's.</summary>
    public static Tokenizer ByteLevel(IReadOnlyList<string> vocabulary, IReadOnlyList<(string Left, string Right)> merges, IReadOnlyList<string> specialTokens)
        => Build(vocabulary, merges, specialTokens, false, writer =>
        {
            WriteByteLevel(writer, "pre_tokenizer", false);
            writer.WriteNull("post_processor");
            WriteByteLevel(writer, "decoder", true);
        });

    /// <summary>A tokenizer of characters that spells the rest by bytes.</summary>
    public static Tokenizer Characters(IReadOnlyList<string> vocabulary, IReadOnlyList<string> specialTokens)
        => Build(vocabulary, [], specialTokens, true, writer =>
        {
            writer.WriteNull("pre_tokenizer");
            writer.WriteNull("post_processor");
            writer.WriteStartObject("decoder");
            writer.WriteString("type", "Sequence");
            writer.WriteStartArray("decoders");
            foreach (var step in (string[])["ByteFallback", "Fuse"])
            {
                writer.WriteStartObject();
                writer.WriteString("type", step);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        });

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
        IReadOnlyList<string> vocabulary, IReadOnlyList<(string Left, string Right)> merges, IReadOnlyList<string> specialTokens, bool byteFallback, Action<Utf8JsonWriter> writeSteps)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            writer.WriteString("version", "1.0");
            writer.WriteNull("truncation");
            writer.WriteNull("padding");
            WriteAdded(writer, specialTokens);
            writer.WriteNull("normalizer");
            writeSteps(writer);
            WriteModel(writer, vocabulary, merges, byteFallback);
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
    {
        writer.WriteStartObject(name);
        writer.WriteString("type", "ByteLevel");
        writer.WriteBoolean("add_prefix_space", prefixSpace);
        writer.WriteBoolean("trim_offsets", true);
        writer.WriteBoolean("use_regex", true);
        writer.WriteEndObject();
    }

    private static void WriteModel(Utf8JsonWriter writer, IReadOnlyList<string> vocabulary, IReadOnlyList<(string Left, string Right)> merges, bool byteFallback)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        foreach (var option in (string[])["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"])
            writer.WriteNull(option);
        writer.WriteBoolean("fuse_unk", false);
        writer.WriteBoolean("byte_fallback", byteFallback);
        writer.WriteBoolean("ignore_merges", false);
        writer.WriteStartObject("vocab");
        foreach (var (id, token) in vocabulary.Index())
            writer.WriteNumber(token, id);
        writer.WriteEndObject();
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
}
