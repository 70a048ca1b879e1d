using System.Runtime.InteropServices;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// A tokenizer as the parts of a <c>tokenizer.json</c>: added tokens are cut out, the rest is normalized, split into words, and each word
/// goes through the model.
/// </summary>
internal sealed class PipelineTokenizer : Tokenizer
{
    private readonly byte[] _json;
    private readonly TokenModel _model;
    private readonly Normalizer? _normalizer;
    private readonly IReadOnlyList<PreTokenizer> _steps;
    private readonly PostProcessor _post;
    private readonly DecoderFactory _decoder;
    private readonly Truncation? _truncation;
    private readonly string?[] _tokens, _decoded;
    private readonly HashSet<int> _special;
    private readonly Dictionary<string, int> _specialByName, _addedIds;
    private readonly Finders _all, _plain;

    private sealed record Finders(AddedTokenFinder Raw, AddedTokenFinder Normalized);

    public PipelineTokenizer(
        byte[] json,
        TokenModel model,
        IReadOnlyList<AddedToken> added,
        Normalizer? normalizer,
        IReadOnlyList<PreTokenizer> steps,
        PostProcessor post,
        DecoderFactory decoder,
        Truncation? truncation)
    {
        (_json, _model, _normalizer, _steps, _post, _decoder, _truncation) = (json, model, normalizer, steps, post, decoder, truncation);
        var largest = Math.Max(
            Math.Max(model.Size - 1, model.Vocabulary.Values.DefaultIfEmpty(-1).Max()),
            added.Select(token => token.Id).DefaultIfEmpty(-1).Max());
        _tokens = new string?[largest + 1];
        foreach (var (token, id) in model.Vocabulary)
            _tokens[id] = token;
        _decoded = [.. _tokens];
        _addedIds = new(StringComparer.Ordinal);
        _specialByName = new(StringComparer.Ordinal);
        foreach (var token in added)
        {
            _tokens[token.Id] = token.Content;
            // A token that was normalized on the way in is decoded in that form, so that the decoder can undo it.
            _decoded[token.Id] = token.Normalized && normalizer is not null ? normalizer.Apply(token.Content) : token.Content;
            _addedIds[token.Content] = token.Id;
            if (token.Special)
                _specialByName[token.Content] = token.Id;
        }

        // Skipped is what reads like a special token in its decoded form, as in Hugging Face's library.
        _special = [.. _specialByName.Where(token => _decoded[token.Value] == token.Key).Select(token => token.Value)];
        _all = FindersOf(added);
        _plain = FindersOf(added.Where(token => !token.IsControl));
    }

    /// <inheritdoc/>
    public override int VocabularySize => _tokens.Length;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> SpecialTokens => _specialByName;

    /// <inheritdoc/>
    public override string TokenOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, _tokens.Length);
        return _tokens[id] ?? "";
    }

    /// <inheritdoc/>
    public override int? IdOf(string token) =>
        _addedIds.TryGetValue(token, out var id) || _model.Vocabulary.TryGetValue(token, out id) ? id : null;

    /// <inheritdoc/>
    public override int[] Encode(string text, bool addSpecialTokens = false)
    {
        var ids = EncodeParts(text, false);
        _truncation?.Apply(ids, addSpecialTokens ? PostProcessor.CountAdded(_post.Single) : 0);
        return addSpecialTokens ? [.. PostProcessor.Build(_post.Single, ids).Ids] : [.. ids];
    }

    /// <inheritdoc/>
    public override string[] Tokens(string text)
    {
        var tokens = new List<string>();
        EncodeParts(text, false, tokens);
        _truncation?.Apply(tokens, 0);
        return [.. tokens];
    }

    /// <inheritdoc/>
    public override int[] EncodePlain(string text) => [.. EncodeParts(text, true)];

    /// <inheritdoc/>
    public override (int[] Ids, int[] TypeIds) EncodePair(string first, string second)
    {
        var (left, right) = (EncodeOne(first, false), EncodeOne(second, true));
        _truncation?.Apply(left, right, PostProcessor.CountAdded(_post.Pair));
        var (ids, types) = PostProcessor.Build(_post.Pair, left, right);
        return ([.. ids], [.. types]);
    }

    private List<int> EncodeOne(string text, bool second)
    {
        if (_truncation is null)
            return EncodeParts(text, false);
        var words = new List<(int End, bool Added)>();
        var ids = EncodeParts(text, false, words: words);
        _truncation.Stop(ids, words, second);
        return ids;
    }

    /// <inheritdoc/>
    public override TokenStream NewStream(bool skipSpecialTokens = true)
    {
        var text = new StringBuilder();
        return new TokenStream(TokenText, _decoder(text), text);

        string? TokenText(int id) =>
            (uint)id >= (uint)_decoded.Length || (skipSpecialTokens && _special.Contains(id)) ? null : _decoded[id];
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> ToJson() => _json;

    /// <inheritdoc/>
    public override TokenizerDescription Describe() => TokenizerDescription.Of(
        JsonPart.Parse(FileName, _json),
        _model.GetType().Name.Replace("Model", "", StringComparison.Ordinal),
        VocabularySize,
        _model.Size,
        _addedIds.Count,
        _truncation?.MaxLength);

    private Finders FindersOf(IEnumerable<AddedToken> tokens)
    {
        var byForm = tokens.ToLookup(token => token.Normalized);
        return new(
            new(byForm[false].Select(token => (token.Content, token))), new(byForm[true].Select(token => (_decoded[token.Id]!, token))));
    }

    private List<int> EncodeParts(string text, bool plain, List<string>? tokens = null, List<(int End, bool Added)>? words = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        var finders = plain ? _plain : _all;
        var ids = new List<int>(text.Length / 2 + 4);
        foreach (var (start, end, token) in finders.Raw.Cut(text))
        {
            if (token is not null)
            {
                ids.Add(token.Id);
                tokens?.Add(text[start..end]);
                words?.Add((ids.Count, true));
                continue;
            }

            var part = start == 0 && end == text.Length ? text : text[start..end];
            part = _normalizer is null ? part : _normalizer.Apply(part);
            foreach (var (from, to, inner) in finders.Normalized.Cut(part))
            {
                if (inner is null)
                {
                    EncodeWords(
                        new Piece(part, from, to - from, start == 0 && from == 0),
                        plain,
                        ids,
                        tokens,
                        words);
                    continue;
                }

                ids.Add(inner.Id);
                tokens?.Add(part[from..to]);
                words?.Add((ids.Count, true));
            }
        }

        return ids;
    }

    private void EncodeWords(
        Piece piece,
        bool plain,
        List<int> ids,
        List<string>? tokens,
        List<(int End, bool Added)>? words)
    {
        List<Piece> pieces = [piece], next = [];
        foreach (var step in _steps)
        {
            next.Clear();
            foreach (var part in CollectionsMarshal.AsSpan(pieces))
                step.Split(part, next);
            (pieces, next) = (next, pieces);
        }

        foreach (var part in CollectionsMarshal.AsSpan(pieces))
        {
            var from = ids.Count;
            _model.Encode(part.Span, plain, ids);
            words?.Add((ids.Count, false));
            if (tokens is not null)
                _model.Spell(part.Span, CollectionsMarshal.AsSpan(ids)[from..], tokens);
        }
    }
}
