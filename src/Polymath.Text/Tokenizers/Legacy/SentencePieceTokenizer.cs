using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A tokenizer that runs a SentencePiece file as SentencePiece itself does, with the special tokens and habits of its model.
/// </summary>
internal sealed class SentencePieceTokenizer : Tokenizer
{
    private readonly SentencePieceFile file;
    private readonly SentencePieceHabits habits;
    private readonly SentencePieceNormalizer normalizer;
    private readonly SentencePieceModel model;
    private readonly TokenCuts? cuts;
    private readonly WordCache cache = new();
    private readonly Dictionary<string, int> ids = new(StringComparer.Ordinal), special = new(StringComparer.Ordinal);
    private readonly string?[] tokens;
    private readonly int[] bytes = new int[256];
    private readonly HashSet<int> skipped = [], silent = [];
    private readonly AddedTokenFinder all, plain;
    private readonly IReadOnlyDictionary<string, ReadOnlyMemory<byte>> files;

    public SentencePieceTokenizer(
        SentencePieceFile file, SentencePieceHabits habits, IReadOnlyDictionary<string, ReadOnlyMemory<byte>> files)
    {
        (this.file, this.habits, this.files) = (file, habits, files);
        var kept = new UserDefinedPieces(file);
        (normalizer, model) = (new(file, kept), SentencePieceModel.Of(file, kept));
        // Sums of scores depend on the whole text before, so only merging can be done word by word.
        cuts = file.Kind == PieceModelKind.Bpe ? new TokenCuts(file.Pieces.Select(piece => piece.Text)) : null;
        var largest = Math.Max(
            habits.Offset + file.Pieces.Count, habits.Added.Concat(habits.Named).Select(token => token.Id + 1).DefaultIfEmpty(0).Max());
        tokens = new string?[largest];
        foreach (var (id, piece) in file.Pieces.Index())
        {
            tokens[id + habits.Offset] = piece.Text;
            ids.TryAdd(piece.Text, id + habits.Offset);
            if (piece.Kind == PieceKind.Control)
            {
                special[piece.Text] = id + habits.Offset;
                silent.Add(id + habits.Offset);
            }

            if (piece.Kind == PieceKind.Byte)
                bytes[ByteFallbackStage.ByteOf(piece.Text)] = id + habits.Offset;
        }

        foreach (var token in habits.Named.Concat(habits.Added))
        {
            tokens[token.Id] = token.Content;
            ids[token.Content] = token.Id;
            silent.Remove(token.Id);
            if (token.Special)
                special[token.Content] = token.Id;
        }

        skipped = [.. special.Values];
        Commands = [.. special.Keys.Except(habits.Added.Select(token => token.Content))];
        all = new(habits.Added.Select(token => (token.Content, token)));
        plain = new(habits.Added.Where(token => !token.IsControl).Select(token => (token.Content, token)));
    }

    /// <inheritdoc/>
    public override int VocabularySize => tokens.Length;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> SpecialTokens => special;

    /// <inheritdoc/>
    public override IReadOnlyCollection<string> Commands { get; }

    /// <inheritdoc/>
    internal override IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files => files;

    /// <inheritdoc/>
    public override string TokenOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, tokens.Length);
        return tokens[id] ?? "";
    }

    /// <inheritdoc/>
    public override int? IdOf(string token) => ids.TryGetValue(token, out var id) ? id : null;

    /// <inheritdoc/>
    public override int[] Encode(string text, bool addSpecialTokens = false)
    {
        var ids = EncodeParts(text, all, null);
        return addSpecialTokens ? [.. PostProcessor.Build(habits.Post.Single, ids).Ids] : [.. ids];
    }

    /// <inheritdoc/>
    public override int[] EncodePlain(string text) => [.. EncodeParts(text, plain, null)];

    /// <inheritdoc/>
    public override string[] Tokens(string text)
    {
        var tokens = new List<string>();
        EncodeParts(text, all, tokens);
        return [.. tokens];
    }

    /// <inheritdoc/>
    public override (int[] Ids, int[] TypeIds) EncodePair(string first, string second)
    {
        var (ids, types) = PostProcessor.Build(habits.Post.Pair, EncodeParts(first, all, null), EncodeParts(second, all, null));
        return ([.. ids], [.. types]);
    }

    /// <inheritdoc/>
    public override TokenStream NewStream(bool skipSpecialTokens = true)
    {
        var text = new StringBuilder();
        DecoderStage last = new CollectingStage(text, "");
        if (habits.MarksSpaces)
            last = new SpaceMarkStage(last);
        return new TokenStream(TokenText, new SentencePieceStage(last, file), text);

        string? TokenText(int id)
        {
            if ((uint)id >= (uint)tokens.Length || silent.Contains(id) || (skipSpecialTokens && skipped.Contains(id)))
                return null;
            return id == model.Unknown + habits.Offset && !habits.ShowsUnknown ? file.UnknownText : tokens[id];
        }
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> ToJson() => SentencePieceJson.Write(file, habits)
        ?? throw new InputException($"{file.Name} follows rules that {FileName} cannot express ({habits.Name}). Keep its own files: "
            + "saving writes them.");

    /// <inheritdoc/>
    public override TokenizerDescription Describe()
    {
        List<string> normalizer = [];
        if (habits.MarksSpaces)
            normalizer.Add("marks for line breaks, tabs and runs of spaces");
        if (file.Map is not null)
            normalizer.Add("table of replacements");
        if (file.DropsSpaces)
            normalizer.Add("spaces at the ends and repeated ones dropped");
        if (file.AddsSpace)
            normalizer.Add(file.SpaceEndsWord ? "space behind" : "space in front");
        if (file.EscapesSpaces)
            normalizer.Add("spaces as \u2581");
        var post = habits.Post.Single.Select(step => step.Sequence < 0 ? string.Join(' ', step.Ids.Select(TokenOf)) : "text").ToList();
        return new(
            $"SentencePiece {file.Kind} ({habits.Name})",
            VocabularySize,
            file.Pieces.Count,
            habits.Added.Count,
            normalizer,
            [],
            post,
            ["SentencePiece"]);
    }

    private List<int> EncodeParts(string text, AddedTokenFinder finder, List<string>? tokens)
    {
        ArgumentNullException.ThrowIfNull(text);
        var ids = new List<int>(text.Length / 2 + 4);
        foreach (var (start, end, token) in finder.Cut(text))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                tokens?.Add(token.Content);
                continue;
            }

            var part = start == 0 && end == text.Length ? text : text[start..end];
            if (habits.MarksSpaces)
                part = SpaceMarks.Write(part);
            EncodeText(normalizer.Apply(part, start == 0 || !habits.SpaceOnlyFirst), ids, tokens);
        }

        return ids;
    }

    private void EncodeText(string text, List<int> ids, List<string>? tokens)
    {
        var pieces = new List<(int Start, int End, int Id)>();
        if (cuts is null || tokens is not null)
        {
            model.Encode(text, pieces);
            AddPieces(text, pieces, ids, tokens);
            return;
        }

        for (int at = 0, end; at < text.Length; at = end)
        {
            end = cuts.EndOf(text, at);
            var word = text.AsSpan(at, end - at);
            if (cache.TryGet(word, out var known))
            {
                // Neighbouring unknown characters are one token.
                var joins = known[0] == model.Unknown + habits.Offset
                    && !file.ByteFallback && ids.Count > 0 && ids[^1] == known[0] && at > 0;
                ids.AddRange(joins ? known.AsSpan(1) : known);
                continue;
            }

            pieces.Clear();
            model.Encode(word, pieces);
            var own = new List<int>();
            AddPieces(word, pieces, own, null);
            var joined = own[0] == model.Unknown + habits.Offset && !file.ByteFallback && ids.Count > 0 && ids[^1] == own[0] && at > 0;
            cache.Add(word, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(own));
            ids.AddRange(joined ? own[1..] : own);
        }
    }

    private void AddPieces(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> pieces, List<int> ids, List<string>? tokens)
    {
        var afterUnknown = false;
        foreach (var (start, end, id) in pieces)
        {
            var unknown = id == model.Unknown;
            if (unknown && file.ByteFallback)
            {
                foreach (var value in Encoding.UTF8.GetBytes(text[start..end].ToString()))
                {
                    ids.Add(bytes[value]);
                    tokens?.Add($"<0x{value:X2}>");
                }
            }
            else if (unknown && afterUnknown)
            {
                if (tokens is not null)
                    tokens[^1] += text[start..end].ToString();
            }
            else
            {
                ids.Add(id + habits.Offset);
                tokens?.Add(text[start..end].ToString());
            }

            afterUnknown = unknown;
        }
    }
}
