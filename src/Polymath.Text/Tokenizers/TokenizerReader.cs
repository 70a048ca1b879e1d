using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Reads a <c>tokenizer.json</c>.</summary>
internal static class TokenizerReader
{
    private static readonly Dictionary<string, Func<JsonPart, TokenModel>> Models = new()
    {
        ["BPE"] = BpeModel.Read,
        ["WordPiece"] = WordPieceModel.Read,
        ["Unigram"] = UnigramModel.Read,
        ["WordLevel"] = WordLevelModel.Read,
    };

    /// <summary>Reads one.</summary>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="bytes">The file's content.</param>
    /// <exception cref="InputException">The content is damaged, or its kind is unknown.</exception>
    /// <param name="beside">The tokens that are defined next to the file; null for none.</param>
    /// <param name="rows">The rows of the model's token table, if known.</param>
    public static Tokenizer Read(string file, byte[] bytes, AddedBeside? beside = null, int? rows = null)
    {
        var root = JsonPart.Parse(file, bytes);
        var model = ReadModel(root.Get("model"));
        var added = ReadAdded(root.Find("added_tokens"), model.Vocabulary);
        if (beside is not null)
        {
            var tokens = new SortedDictionary<int, AddedToken>(added.ToDictionary(token => token.Id));
            if (beside.Add(tokens, model.Vocabulary, rows))
                (added, bytes) = ([.. tokens.Values], AddedBeside.Written(bytes, tokens.Values));
        }
        var normalizer = NormalizerReader.Read(root.Find("normalizer"));
        var steps = PreTokenizerReader.Read(root.Find("pre_tokenizer"), model.CanReadBytes, out var readsBytes);
        var post = PostProcessor.Read(root.Find("post_processor"));
        var truncation = Truncation.Read(root.Find("truncation"));
        var decoder = DecoderReader.Read(root.Find("decoder"));
        model.Prepare(added.Where(token => token.Special).Select(token => token.Id).ToHashSet(), readsBytes);
        return new PipelineTokenizer(
            bytes,
            model,
            added,
            normalizer,
            steps,
            post,
            decoder,
            truncation);
    }

    private static TokenModel ReadModel(JsonPart part)
    {
        // Older files omit the type, but each kind has settings that the others lack.
        var kind = part.Find("type")?.Text() ?? part switch
        {
            _ when part.Find("merges") is not null => "BPE",
            _ when part.Find("max_input_chars_per_word") is not null => "WordPiece",
            _ when part.Find("unk_id") is not null => "Unigram",
            _ => "unknown",
        };
        return Models.TryGetValue(kind, out var read)
            ? read(part)
            : throw new InputException($"{part.File}: key 'model.type': tokenizers of the kind '{kind}' cannot be read; known are "
                + $"{string.Join(", ", Models.Keys)}. Choose a model with one of these.");
    }

    private static List<AddedToken> ReadAdded(JsonPart? part, IReadOnlyDictionary<string, int> vocabulary)
    {
        var tokens = new Dictionary<int, AddedToken>();
        foreach (var item in part?.Items() ?? [])
        {
            var content = item.Get("content").Text();
            var id = item.Get("id").Integer(0, VocabularyReader.LargestId);
            if (content.Length == 0)
                continue;
            // For a token in the vocabulary, the vocabulary's id wins.
            id = vocabulary.GetValueOrDefault(content, id);
            tokens[id] = new(
                id,
                content,
                Flag("single_word"),
                Flag("lstrip"),
                Flag("rstrip"),
                Flag("normalized"),
                Flag("special"));

            bool Flag(string key) => item.Find(key)?.Flag() ?? false;
        }

        return [.. tokens.Values];
    }
}
