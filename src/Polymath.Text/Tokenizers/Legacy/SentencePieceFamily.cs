namespace Polymath.Text;

/// <summary>Determines from a folder's settings how its SentencePiece file is used.</summary>
internal static class SentencePieceFamily
{
    private const int FirstImageTokens = 20000;
    private static readonly string[] GlmSpecial = ["[MASK]", "[gMASK]", "[sMASK]"];

    /// <summary>Reads the tokenizer.</summary>
    public static Tokenizer Read(TokenizerFolder folder, string name, byte[] bytes)
    {
        var file = SentencePieceFile.Read(folder.At(name), bytes);
        var glm = folder.Class.StartsWith("ChatGLM", StringComparison.Ordinal);
        if (name == "ice_text.model")
        {
            var (whole, marked) = First(folder, file);
            return new SentencePieceTokenizer(whole, marked, folder.Files);
        }

        var habits = glm ? Later(folder, file) : folder.Class switch
        {
            "T5Tokenizer" or "MT5Tokenizer" => T5(folder, file),
            "LlamaTokenizer" or "CodeLlamaTokenizer" => Llama(folder, file),
            _ => Other(folder, file),
        };
        return new SentencePieceTokenizer(file, habits, folder.Files);
    }

    private static Func<string, int?> Ids(SentencePieceFile file, int offset, params IEnumerable<AddedToken> more)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (id, piece) in file.Pieces.Index())
            ids.TryAdd(piece.Text, id + offset);
        foreach (var token in more)
            ids[token.Content] = token.Id;
        return token => ids.TryGetValue(token, out var id) ? id : null;
    }

    private static PostProcessor Around(IReadOnlyList<int> before, IReadOnlyList<int> after, IReadOnlyList<int>? beforeSecond = null)
    {
        PostProcessor.Step text = new(0, [], 0), second = new(1, [], 0), open = new(-1, before, 0), close = new(-1, after, 0);
        return new([open, text, close], [open, text, close, new(-1, beforeSecond ?? [], 0), second, close]);
    }

    private static SentencePieceHabits Llama(TokenizerFolder folder, SentencePieceFile file)
    {
        var ids = Ids(file, 0);
        var added = folder.Added(ids, ("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"));
        int[] Named(string flag, string purpose, string usual, bool otherwise) =>
            folder.Flag(flag, otherwise) && added.Find(token => token.Content == (folder.Named(purpose) ?? usual)) is { } token
                ? [token.Id]
                : [];
        int[] open = Named("add_bos_token", "bos_token", "<s>", true), close = Named("add_eos_token", "eos_token", "</s>", false);
        return new(
            "Llama",
            0,
            false,
            !folder.Flag("legacy", false),
            added,
            [],
            Around(open, close, open),
            true);
    }

    private static SentencePieceHabits T5(TokenizerFolder folder, SentencePieceFile file)
    {
        var extra = folder.Find("extra_ids")?.Integer(0, 10000) ?? 100;
        var more = Enumerable.Range(0, extra).Select(i => new AddedToken(
            file.Pieces.Count + extra - 1 - i,
            $"<extra_id_{i}>",
            false,
            false,
            false,
            false,
            true)).ToList();
        var added = folder.Added(Ids(file, 0, more), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>"));
        added.AddRange(more.Where(token => !added.Exists(known => known.Content == token.Content)));
        int[] close = added.Find(token => token.Content == (folder.Named("eos_token") ?? "</s>")) is { } end ? [end.Id] : [];
        return new(
            "T5",
            0,
            false,
            false,
            added,
            [],
            Around([], close),
            true);
    }

    private static SentencePieceHabits Other(TokenizerFolder folder, SentencePieceFile file)
    {
        var added = folder.Added(Ids(file, 0));
        int[] Named(string flag, string purpose) =>
            folder.Flag(flag, false) && added.Find(token => token.Content == folder.Named(purpose)) is { } token ? [token.Id] : [];
        var open = Named("add_bos_token", "bos_token");
        return new(
            folder.Class.Length > 0 ? folder.Class : "plain",
            0,
            false,
            false,
            added,
            [],
            Around(open, Named("add_eos_token", "eos_token"), open));
    }

    // ChatGLM's first: the ids of 20,000 image tokens come first, unless the settings say otherwise; older files get their marks here.
    private static (SentencePieceFile File, SentencePieceHabits Habits) First(TokenizerFolder folder, SentencePieceFile file)
    {
        if (!file.Pieces.Any(piece => piece.Text == "[gMASK]"))
        {
            string[] control = [.. GlmSpecial, "<unused_0>", "<sop>", "<eop>", "<ENC>", "<dBLOCK>"];
            var marks = Enumerable.Range(2, SpaceMarks.LongestBlank - 1).Select(SpaceMarks.Blank).Prepend(SpaceMarks.Tab);
            file = file.With(control.Select(token => new SentencePiece(token, 0, PieceKind.Control))
                .Concat(marks.Select(token => new SentencePiece(token, 0, PieceKind.UserDefined)))
                .Concat(Enumerable.Range(0, 256).Select(value => new SentencePiece($"<0x{value:X2}>", 0, PieceKind.Byte))));
        }

        var offset = folder.Find("num_image_tokens")?.Integer(0, VocabularyReader.LargestId) ?? FirstImageTokens;
        var ids = Ids(file, offset);
        var added = folder.Added(
            ids,
            ("bos_token", "<sop>"),
            ("eos_token", "<eop>"),
            ("mask_token", "[MASK]"),
            ("unk_token", "<unk>"),
            ("pad_token", "<pad>"));
        string Word(string purpose, string usual) => folder.Named(purpose) is { } named && ids(named) is not null ? named : usual;
        int[] Id(string purpose, string usual) => ids(Word(purpose, usual)) is { } id ? [id] : [];
        var open = Id("gmask_token", "[gMASK]").Concat(Id("bos_token", "<sop>")).ToArray();
        PostProcessor.Step text = new(0, [], 0), prompt = new(-1, open, 0);
        PostProcessor post = new([text, prompt], [text, prompt, new(1, [], 0), new(-1, Id("eos_token", "<eop>"), 0)]);
        return (file, new(
            "ChatGLM",
            offset,
            true,
            false,
            added,
            [],
            post));
    }

    // ChatGLM2 and 3: special tokens after the file's own, known only by name, so that no text can produce them.
    private static SentencePieceHabits Later(TokenizerFolder folder, SentencePieceFile file)
    {
        var code = folder.At("tokenization_chatglm.py");
        var second = (folder.Find("name_or_path")?.Text() ?? "").Contains("chatglm2", StringComparison.Ordinal)
            || (File.Exists(code) && !File.ReadAllText(code).Contains("<|user|>", StringComparison.Ordinal));
        string[] names =
            [.. GlmSpecial, "sop", "eop", .. second ? (string[])[] : ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]];
        var named = names.Select((token, i) => new AddedToken(
            file.Pieces.Count + i,
            token,
            false,
            false,
            false,
            false,
            true)).ToList();
        var ids = Ids(file, 0, named);
        var open = (int[])[ids("[gMASK]")!.Value, ids("sop")!.Value];
        int[] close = ids("</s>") is { } end ? [end] : [];
        PostProcessor.Step text = new(0, [], 0), prompt = new(-1, open, 0);
        PostProcessor post = new([prompt, text], [prompt, text, new(1, [], 0), new(-1, close, 0)]);
        return new(
            second ? "ChatGLM2" : "ChatGLM3",
            0,
            false,
            false,
            folder.Added(ids),
            named,
            post);
    }
}
