using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Finds the tokenizer in a model's folder, in any of its file formats.</summary>
internal sealed class TokenizerFolder
{
    private static readonly string[] PieceFiles =
        ["tokenizer.model", "spiece.model", "ice_text.model", "sentencepiece.bpe.model", "tiktoken.model"];
    private static readonly string[] SettingFiles = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];
    private readonly Dictionary<string, ReadOnlyMemory<byte>> files = [];
    private readonly List<JsonPart> settings = [];

    private TokenizerFolder(string path)
    {
        Path = path;
        foreach (var name in SettingFiles)
        {
            if (File.Exists(At(name)))
                settings.Add(JsonPart.Parse(At(name), Keep(name)));
        }
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The files of the tokenizer read so far, by name.</summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files => files;

    /// <summary>The class that the settings name, such as <c>LlamaTokenizer</c>; empty when they name none.</summary>
    public string Class => Find("tokenizer_class")?.Text() is { } name ? name.Replace("Fast", "", StringComparison.Ordinal) : "";

    /// <summary>Reads the tokenizer of a folder, or of a file.</summary>
    /// <param name="folderOrFile">The folder, or the file.</param>
    /// <param name="rows">The rows of the model's token table, if known.</param>
    public static Tokenizer Load(string folderOrFile, int? rows = null)
    {
        if (File.Exists(folderOrFile))
            return LoadFile(folderOrFile);
        var whole = System.IO.Path.Combine(folderOrFile, Tokenizer.FileName);
        if (File.Exists(whole))
            return TokenizerReader.Read(whole, JsonPart.ReadFile(whole), AddedBeside.Of(folderOrFile), rows);
        if (!Directory.Exists(folderOrFile))
            throw Missing(folderOrFile);
        var folder = new TokenizerFolder(folderOrFile);
        foreach (var name in PieceFiles)
        {
            if (File.Exists(folder.At(name)))
                return folder.ReadPieces(name);
        }

        if (Directory.GetFiles(folderOrFile, "*.tiktoken").Order(StringComparer.Ordinal).FirstOrDefault() is { } ranks)
            return TiktokenFile.Read(folder, System.IO.Path.GetFileName(ranks));
        if (File.Exists(folder.At("vocab.json")) && File.Exists(folder.At("merges.txt")))
            return VocabularyFiles.ReadMerges(folder);
        return File.Exists(folder.At("vocab.txt")) ? VocabularyFiles.ReadWordPieces(folder) : throw Missing(folderOrFile);
    }

    /// <summary>The path of a file in the folder.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Reads a file of the folder and records it as one of the tokenizer's.</summary>
    public byte[] Keep(string name)
    {
        var bytes = JsonPart.ReadFile(At(name));
        files[name] = bytes;
        return bytes;
    }

    /// <summary>A setting, or null when no file has it.</summary>
    public JsonPart? Find(string key)
    {
        foreach (var part in settings)
        {
            if (part.Find(key) is { } found)
                return found;
        }

        return null;
    }

    /// <summary>A setting that is true or false.</summary>
    public bool Flag(string key, bool otherwise) =>
        Find(key) is { Element.ValueKind: JsonValueKind.True or JsonValueKind.False } found ? found.Flag() : otherwise;

    /// <summary>The token that the settings name for a purpose, such as <c>bos_token</c>.</summary>
    public string? Named(string purpose)
    {
        if (Find(purpose) is { } found)
            return found.Element.ValueKind == JsonValueKind.Object ? found.Get("content").Text() : found.Text();
        return null;
    }

    /// <summary>The tokens that the settings add to the vocabulary or give flags to.</summary>
    /// <param name="idOf">Returns known ids.</param>
    /// <param name="usual">The special tokens by purpose of the kind of tokenizer, when the settings name none.</param>
    public List<AddedToken> Added(Func<string, int?> idOf, params IEnumerable<(string Purpose, string Token)> usual)
    {
        var tokens = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        foreach (var (name, value) in Find("added_tokens_decoder")?.Members() ?? [])
        {
            if (!int.TryParse(name, out var id) || id is < 0 or > VocabularyReader.LargestId)
                throw value.Fault($"'{name}' is not an id");
            Add(value, id);
        }

        foreach (var part in settings.Where(part => part.File.EndsWith("added_tokens.json", StringComparison.Ordinal)))
        {
            foreach (var (token, id) in part.Members())
                tokens.TryAdd(token, AddedToken.Plain(id.Integer(0, VocabularyReader.LargestId), token, special: false));
        }

        var given = usual.ToDictionary(pair => pair.Purpose, pair => pair.Token);
        foreach (var purpose in AddedToken.Purposes)
        {
            if (Named(purpose) is { } named && Find(purpose) is { Element.ValueKind: JsonValueKind.Object } whole)
                Add(whole, idOf(named));
            else if ((Named(purpose) ?? given.GetValueOrDefault(purpose)) is { } token)
                AddSpecial(token);
        }

        foreach (var item in Further())
        {
            if (item.Element.ValueKind == JsonValueKind.Object)
                Add(item, idOf(item.Get("content").Text()));
            else
                AddSpecial(item.Text());
        }

        return [.. tokens.Values.Where(token => token.Content.Length > 0).OrderBy(token => token.Id)];

        void Add(JsonPart part, int? id)
        {
            var content = part.Get("content").Text();
            if (id is null || tokens.ContainsKey(content))
                return;
            tokens[content] = AddedToken.Of(part, id.Value, special: true, normalized: false);
        }

        void AddSpecial(string token)
        {
            if (tokens.TryGetValue(token, out var known))
                tokens[token] = known with { Special = true };
            else if (idOf(token) is { } id)
                tokens[token] = AddedToken.Plain(id, token, special: true);
        }
    }

    // The special tokens without a purpose.
    private IEnumerable<JsonPart> Further() => ((string[])["additional_special_tokens", "extra_special_tokens"]).Select(Find)
        .SelectMany(part => part is { Element.ValueKind: JsonValueKind.Array } list ? list.Items() : []);

    private static Tokenizer LoadFile(string file)
    {
        var name = System.IO.Path.GetFileName(file);
        if (PieceFiles.Contains(name) || name.EndsWith(".model", StringComparison.Ordinal))
            return new TokenizerFolder(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(file))!).ReadPieces(name);
        if (name.EndsWith(".tiktoken", StringComparison.Ordinal))
            return TiktokenFile.Read(new TokenizerFolder(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(file))!), name);
        return TokenizerReader.Read(file, JsonPart.ReadFile(file));
    }

    // GLM-4 and Llama 3 have tiktoken files under the name of a SentencePiece file.
    private Tokenizer ReadPieces(string name)
    {
        var bytes = Keep(name);
        return SentencePieceFile.LooksLike(bytes) || !TiktokenFile.LooksLike(bytes)
            ? SentencePieceFamily.Read(this, name, bytes)
            : TiktokenFile.Read(this, name);
    }

    private static InputException Missing(string place) =>
        new($"no {Tokenizer.FileName} at {place}, nor a tokenizer.model, spiece.model, ice_text.model, *.tiktoken, vocab.json with "
            + "merges.txt, or vocab.txt. Name a folder that holds one of them, as 'save_pretrained' writes it.");
}
