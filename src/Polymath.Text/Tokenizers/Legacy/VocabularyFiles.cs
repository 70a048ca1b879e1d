using System.Text;
using System.Text.Json.Nodes;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads the tokenizers that came as <c>vocab.json</c> with <c>merges.txt</c>, and as <c>vocab.txt</c>.</summary>
internal static class VocabularyFiles
{
    /// <summary>Reads the byte-level BPE of GPT-2, RoBERTa and Qwen 2.</summary>
    public static Tokenizer ReadMerges(TokenizerFolder folder)
    {
        var file = folder.At("vocab.json");
        var vocabulary = VocabularyReader.Read(JsonPart.Parse(file, folder.Keep("vocab.json")));
        var merges = Lines(folder, "merges.txt")
            .Where(line => line.Text.Length > 0 && !(line.Number == 1 && line.Text.StartsWith("#version", StringComparison.Ordinal)))
            .Select(line =>
            {
                var halves = line.Text.Split(' ');
                return halves.Length == 2
                    ? (halves[0], halves[1])
                    : throw new InputException($"{folder.At("merges.txt")}, line {line.Number}: two tokens are needed, found "
                        + $"{halves.Length}. Fetch the file again.");
            }).ToList();
        var roberta = folder.Class is "RobertaTokenizer" or "BartTokenizer" or "LongformerTokenizer";
        var qwen = folder.Class is "Qwen2Tokenizer";
        (string, string)[] usual = roberta
            ? [
                ("bos_token", "<s>"), ("eos_token", "</s>"), ("sep_token", "</s>"), ("cls_token", "<s>"), ("unk_token", "<unk>"),
                ("pad_token", "<pad>"), ("mask_token", "<mask>"),
            ]
            : [("bos_token", "<|endoftext|>"), ("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>")];
        var added = folder.Added(token => vocabulary.TryGetValue(token, out var id) ? id : null, usual);
        var prefixSpace = folder.Flag("add_prefix_space", false);
        if (roberta && folder.Find("added_tokens_decoder") is null)
            added = [.. added.Select(
                token => token.Content == (folder.Named("mask_token") ?? "<mask>") ? token with { LeftStrip = true } : token)];
        JsonObject? post = LegacyJson.ByteLevel(prefixSpace, true);
        if (roberta)
            post = new()
            {
                ["type"] = "RobertaProcessing", ["sep"] = Named("sep_token", "</s>"), ["cls"] = Named("cls_token", "<s>"),
                ["trim_offsets"] = true, ["add_prefix_space"] = prefixSpace,
            };
        else if (folder.Flag("add_bos_token", false) && folder.Named("bos_token") is { } begin && vocabulary.ContainsKey(begin))
            post = LegacyJson.Template([(begin, 0), ("A", 0)], [(begin, 0), ("A", 0), (begin, 1), ("B", 1)], token => vocabulary[token]);
        var json = LegacyJson.Compose(
            added,
            qwen ? LegacyJson.Stage("NFC") : null,
            qwen ? LegacyJson.SplitBytes(WordScanner.QwenPattern) : LegacyJson.ByteLevel(prefixSpace, true),
            post,
            LegacyJson.ByteLevel(prefixSpace, true),
            LegacyJson.Bpe(
                vocabulary.OrderBy(entry => entry.Value),
                merges,
                null,
                false,
                false));
        return TokenizerReader.Read(file, json);

        JsonArray Named(string purpose, string token)
        {
            var name = folder.Named(purpose) ?? token;
            return [name, vocabulary.TryGetValue(name, out var id)
                ? id
                : throw new InputException($"{file} has no token '{name}', which is needed around a text. Restore the folder's files.")];
        }
    }

    /// <summary>Reads BERT's WordPiece.</summary>
    public static Tokenizer ReadWordPieces(TokenizerFolder folder)
    {
        var file = folder.At("vocab.txt");
        var vocabulary = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (token, number) in Lines(folder, "vocab.txt"))
            vocabulary[token.TrimEnd()] = number - 1;
        string Token(string purpose, string usual) => folder.Named(purpose) ?? usual;
        var (unknown, open, close) = (Token("unk_token", "[UNK]"), Token("cls_token", "[CLS]"), Token("sep_token", "[SEP]"));
        var added = folder.Added(
            token => vocabulary.TryGetValue(token, out var id) ? id : null,
            ("unk_token", "[UNK]"),
            ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"),
            ("cls_token", "[CLS]"),
            ("mask_token", "[MASK]"));
        foreach (var needed in (ReadOnlySpan<string>)[unknown, open, close])
        {
            if (!vocabulary.ContainsKey(needed))
                throw new InputException($"{file} has no token '{needed}', which the tokenizer needs. Restore the folder's files.");
        }

        var lowercase = folder.Flag("do_lower_case", true);
        var normalizer = new JsonObject
        {
            ["type"] = "BertNormalizer", ["clean_text"] = true, ["handle_chinese_chars"] = folder.Flag("tokenize_chinese_chars", true),
            ["strip_accents"] = folder.Flag("strip_accents", lowercase), ["lowercase"] = lowercase,
        };
        var post = LegacyJson.Template(
            [(open, 0), ("A", 0), (close, 0)], [(open, 0), ("A", 0), (close, 0), ("B", 1), (close, 1)], token => vocabulary[token]);
        var model = new JsonObject
        {
            ["type"] = "WordPiece", ["unk_token"] = unknown, ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100,
            ["vocab"] = new JsonObject(
                vocabulary.OrderBy(entry => entry.Value).Select(entry => KeyValuePair.Create(entry.Key, (JsonNode?)entry.Value))),
        };
        var decoder = new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true };
        return TokenizerReader.Read(file, LegacyJson.Compose(
            added,
            normalizer,
            LegacyJson.Stage("BertPreTokenizer"),
            post,
            decoder,
            model));
    }

    // The lines with their numbers, from 1; a line break at the end does not start another line.
    private static IEnumerable<(string Text, int Number)> Lines(TokenizerFolder folder, string name)
    {
        var bytes = folder.Keep(name);
        if (!System.Text.Unicode.Utf8.IsValid(bytes))
            throw new InputException($"{folder.At(name)} is not text in UTF-8. Fetch the file again.");
        var lines = Encoding.UTF8.GetString(bytes).Split('\n');
        return lines.Take(lines[^1].Length == 0 ? lines.Length - 1 : lines.Length).Select((line, i) => (line.TrimEnd('\r'), i + 1));
    }
}
