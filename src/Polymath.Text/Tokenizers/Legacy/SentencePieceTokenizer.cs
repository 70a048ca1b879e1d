using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A tokenizer as SentencePiece itself would run its file, with the special tokens and habits of the model it belongs to.
/// </summary>
internal sealed class SentencePieceTokenizer : Tokenizer
{
    private readonly SentencePieceFile _file;
    private readonly SentencePieceHabits _habits;
    private readonly SentencePieceNormalizer _normalizer;
    private readonly SentencePieceModel _model;
    private readonly TokenCuts? _cuts;
    private readonly WordCache _cache = new();
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal), _special = new(StringComparer.Ordinal);
    private readonly string?[] _tokens;
    private readonly int[] _bytes = new int[256];
    private readonly HashSet<int> _skipped = [], _silent = [];
    private readonly AddedTokenFinder _all, _plain;
    private readonly IReadOnlyDictionary<string, ReadOnlyMemory<byte>> _files;

    public SentencePieceTokenizer(
        SentencePieceFile file, SentencePieceHabits habits, IReadOnlyDictionary<string, ReadOnlyMemory<byte>> files)
    {
        (_file, _habits, _files) = (file, habits, files);
        var kept = new UserDefinedPieces(file);
        (_normalizer, _model) = (new(file, kept), SentencePieceModel.Of(file, kept));
        // Sums of scores depend on all that came before, so that only merging may be cut into words.
        _cuts = file.Kind == PieceModelKind.Bpe ? new TokenCuts(file.Pieces.Select(piece => piece.Text)) : null;
        var largest = Math.Max(
            habits.Offset + file.Pieces.Count, habits.Added.Concat(habits.Named).Select(token => token.Id + 1).DefaultIfEmpty(0).Max());
        _tokens = new string?[largest];
        foreach (var (id, piece) in file.Pieces.Index())
        {
            _tokens[id + habits.Offset] = piece.Text;
            _ids.TryAdd(piece.Text, id + habits.Offset);
            if (piece.Kind == PieceKind.Control)
            {
                _special[piece.Text] = id + habits.Offset;
                _silent.Add(id + habits.Offset);
            }

            if (piece.Kind == PieceKind.Byte)
                _bytes[ByteFallbackStage.ByteOf(piece.Text)] = id + habits.Offset;
        }

        foreach (var token in habits.Named.Concat(habits.Added))
        {
            _tokens[token.Id] = token.Content;
            _ids[token.Content] = token.Id;
            _silent.Remove(token.Id);
            if (token.Special)
                _special[token.Content] = token.Id;
        }

        _skipped = [.. _special.Values];
        _all = new(habits.Added.Select(token => (token.Content, token)));
        _plain = new(habits.Added.Where(token => !token.IsControl).Select(token => (token.Content, token)));
    }

    /// <inheritdoc/>
    public override int VocabularySize => _tokens.Length;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> SpecialTokens => _special;

    /// <inheritdoc/>
    internal override IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files => _files;

    /// <inheritdoc/>
    public override string TokenOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, _tokens.Length);
        return _tokens[id] ?? "";
    }

    /// <inheritdoc/>
    public override int? IdOf(string token) => _ids.TryGetValue(token, out var id) ? id : null;

    /// <inheritdoc/>
    public override int[] Encode(string text, bool addSpecialTokens = false)
    {
        var ids = EncodeParts(text, _all, null);
        return addSpecialTokens ? [.. PostProcessor.Build(_habits.Post.Single, ids).Ids] : [.. ids];
    }

    /// <inheritdoc/>
    public override int[] EncodePlain(string text) => [.. EncodeParts(text, _plain, null)];

    /// <inheritdoc/>
    public override string[] Tokens(string text)
    {
        var tokens = new List<string>();
        EncodeParts(text, _all, tokens);
        return [.. tokens];
    }

    /// <inheritdoc/>
    public override (int[] Ids, int[] TypeIds) EncodePair(string first, string second)
    {
        var (ids, types) = PostProcessor.Build(_habits.Post.Pair, EncodeParts(first, _all, null), EncodeParts(second, _all, null));
        return ([.. ids], [.. types]);
    }

    /// <inheritdoc/>
    public override TokenStream NewStream(bool skipSpecialTokens = true)
    {
        var text = new StringBuilder();
        DecoderStage last = new CollectingStage(text, "");
        if (_habits.MarksSpaces)
            last = new SpaceMarkStage(last);
        return new TokenStream(TokenText, new SentencePieceStage(last, _file), text);

        string? TokenText(int id)
        {
            if ((uint)id >= (uint)_tokens.Length || _silent.Contains(id) || (skipSpecialTokens && _skipped.Contains(id)))
                return null;
            return id == _model.Unknown + _habits.Offset && !_habits.ShowsUnknown ? _file.UnknownText : _tokens[id];
        }
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> ToJson() => SentencePieceJson.Write(_file, _habits)
        ?? throw new InputException($"{_file.Name} follows rules that {FileName} cannot express ({_habits.Name}). Keep its own files: "
            + "saving writes them.");

    /// <inheritdoc/>
    public override TokenizerDescription Describe()
    {
        List<string> normalizer = [];
        if (_habits.MarksSpaces)
            normalizer.Add("marks for line breaks, tabs and runs of spaces");
        if (_file.Map is not null)
            normalizer.Add("table of replacements");
        if (_file.DropsSpaces)
            normalizer.Add("spaces at the ends and repeated ones dropped");
        if (_file.AddsSpace)
            normalizer.Add(_file.SpaceEndsWord ? "space behind" : "space in front");
        if (_file.EscapesSpaces)
            normalizer.Add("spaces as \u2581");
        var post = _habits.Post.Single.Select(step => step.Sequence < 0 ? string.Join(' ', step.Ids.Select(TokenOf)) : "text").ToList();
        return new(
            $"SentencePiece {_file.Kind} ({_habits.Name})",
            VocabularySize,
            _file.Pieces.Count,
            _habits.Added.Count,
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
            if (_habits.MarksSpaces)
                part = SpaceMarks.Write(part);
            EncodeText(_normalizer.Apply(part, start == 0 || !_habits.SpaceOnlyFirst), ids, tokens);
        }

        return ids;
    }

    private void EncodeText(string text, List<int> ids, List<string>? tokens)
    {
        var pieces = new List<(int Start, int End, int Id)>();
        if (_cuts is null || tokens is not null)
        {
            _model.Encode(text, pieces);
            AddPieces(text, pieces, ids, tokens);
            return;
        }

        for (int at = 0, end; at < text.Length; at = end)
        {
            end = _cuts.EndOf(text, at);
            var word = text.AsSpan(at, end - at);
            if (_cache.TryGet(word, out var known))
            {
                // Neighbouring unknown characters are one token.
                var joins = known[0] == _model.Unknown + _habits.Offset
                    && !_file.ByteFallback && ids.Count > 0 && ids[^1] == known[0] && at > 0;
                ids.AddRange(joins ? known.AsSpan(1) : known);
                continue;
            }

            pieces.Clear();
            _model.Encode(word, pieces);
            var own = new List<int>();
            AddPieces(word, pieces, own, null);
            var joined = own[0] == _model.Unknown + _habits.Offset && !_file.ByteFallback && ids.Count > 0 && ids[^1] == own[0] && at > 0;
            _cache.Add(word, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(own));
            ids.AddRange(joined ? own[1..] : own);
        }
    }

    private void AddPieces(ReadOnlySpan<char> text, List<(int Start, int End, int Id)> pieces, List<int> ids, List<string>? tokens)
    {
        var afterUnknown = false;
        foreach (var (start, end, id) in pieces)
        {
            var unknown = id == _model.Unknown;
            if (unknown && _file.ByteFallback)
            {
                foreach (var value in Encoding.UTF8.GetBytes(text[start..end].ToString()))
                {
                    ids.Add(_bytes[value]);
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
                ids.Add(id + _habits.Offset);
                tokens?.Add(text[start..end].ToString());
            }

            afterUnknown = unknown;
        }
    }
}
