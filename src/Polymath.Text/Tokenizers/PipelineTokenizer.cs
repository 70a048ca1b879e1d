using System.Runtime.InteropServices;
using System.Text;

namespace Polymath.Text;

/// <summary>
/// A tokenizer with the parts of a <c>tokenizer.json</c>: added tokens are cut out, the rest is normalized and split into words, and the
/// model encodes each word.
/// </summary>
internal sealed class PipelineTokenizer : Tokenizer
{
    private readonly byte[] json;
    private readonly TokenModel model;
    private readonly Normalizer? normalizer;
    private readonly IReadOnlyList<PreTokenizer> steps;
    private readonly PostProcessor post;
    private readonly DecoderFactory decoder;
    private Truncation? truncation;
    private readonly string?[] tokens, decoded;
    private readonly HashSet<int> special;
    private readonly Dictionary<string, int> specialByName, addedIds;
    private readonly Finders all, plain;

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
        (this.json, this.model, this.normalizer, this.steps, this.post, this.decoder, this.truncation) =
            (json, model, normalizer, steps, post, decoder, truncation);
        var largest = Math.Max(
            Math.Max(model.Size - 1, model.Vocabulary.Values.DefaultIfEmpty(-1).Max()),
            added.Select(token => token.Id).DefaultIfEmpty(-1).Max());
        tokens = new string?[largest + 1];
        foreach (var (token, id) in model.Vocabulary)
            tokens[id] = token;
        decoded = [.. tokens];
        addedIds = new(StringComparer.Ordinal);
        specialByName = new(StringComparer.Ordinal);
        foreach (var token in added)
        {
            tokens[token.Id] = token.Content;
            // A token that is normalized in encoding is decoded from that form, so that the decoder can undo it.
            decoded[token.Id] = token.Normalized && normalizer is not null ? normalizer.Apply(token.Content) : token.Content;
            addedIds[token.Content] = token.Id;
            if (token.Special)
                specialByName[token.Content] = token.Id;
        }

        // A token whose decoded form equals a special token is skipped, as in Hugging Face's library.
        special = [.. specialByName.Where(token => decoded[token.Value] == token.Key).Select(token => token.Value)];
        all = FindersOf(added);
        plain = FindersOf(added.Where(token => !token.IsControl));
    }

    /// <inheritdoc/>
    public override int VocabularySize => tokens.Length;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> SpecialTokens => specialByName;

    /// <inheritdoc/>
    public override string TokenOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, tokens.Length);
        return tokens[id] ?? "";
    }

    /// <inheritdoc/>
    public override int? IdOf(string token) =>
        addedIds.TryGetValue(token, out var id) || model.Vocabulary.TryGetValue(token, out id) ? id : null;

    /// <inheritdoc/>
    public override int[] Encode(string text, bool addSpecialTokens = false)
    {
        var ids = EncodeParts(text, false);
        truncation?.Apply(ids, addSpecialTokens ? PostProcessor.CountAdded(post.Single) : 0);
        return addSpecialTokens ? [.. PostProcessor.Build(post.Single, ids).Ids] : [.. ids];
    }

    /// <inheritdoc/>
    public override Tokenizer Uncut()
    {
        if (truncation is null)
            return this;
        var copy = (PipelineTokenizer)MemberwiseClone();
        copy.truncation = null;
        return copy;
    }

    /// <inheritdoc/>
    public override string[] Tokens(string text)
    {
        var tokens = new List<string>();
        EncodeParts(text, false, tokens);
        truncation?.Apply(tokens, 0);
        return [.. tokens];
    }

    /// <inheritdoc/>
    public override int[] EncodePlain(string text) => [.. EncodeParts(text, true)];

    /// <inheritdoc/>
    public override (int[] Ids, int[] TypeIds) EncodePair(string first, string second)
    {
        var (left, right) = (EncodeOne(first, false), EncodeOne(second, true));
        truncation?.Apply(left, right, PostProcessor.CountAdded(post.Pair));
        var (ids, types) = PostProcessor.Build(post.Pair, left, right);
        return ([.. ids], [.. types]);
    }

    private List<int> EncodeOne(string text, bool second)
    {
        if (truncation is null)
            return EncodeParts(text, false);
        var words = new List<(int End, bool Added)>();
        var ids = EncodeParts(text, false, words: words);
        truncation.Stop(ids, words, second);
        return ids;
    }

    /// <inheritdoc/>
    public override TokenStream NewStream(bool skipSpecialTokens = true)
    {
        var text = new StringBuilder();
        return new TokenStream(TokenText, decoder(text), text);

        string? TokenText(int id) =>
            (uint)id >= (uint)decoded.Length || (skipSpecialTokens && special.Contains(id)) ? null : decoded[id];
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> ToJson() => json;

    /// <inheritdoc/>
    public override TokenizerDescription Describe() => TokenizerDescription.Of(
        JsonPart.Parse(FileName, json),
        model.GetType().Name.Replace("Model", "", StringComparison.Ordinal),
        VocabularySize,
        model.Size,
        addedIds.Count,
        truncation?.MaxLength);

    private Finders FindersOf(IEnumerable<AddedToken> tokens)
    {
        var byForm = tokens.ToLookup(token => token.Normalized);
        return new(
            new(byForm[false].Select(token => (token.Content, token))), new(byForm[true].Select(token => (decoded[token.Id]!, token))));
    }

    private List<int> EncodeParts(string text, bool plain, List<string>? tokens = null, List<(int End, bool Added)>? words = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        var finders = plain ? this.plain : all;
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
            part = normalizer is null ? part : normalizer.Apply(part);
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
        foreach (var step in steps)
        {
            next.Clear();
            foreach (var part in CollectionsMarshal.AsSpan(pieces))
                step.Split(part, next);
            (pieces, next) = (next, pieces);
        }

        foreach (var part in CollectionsMarshal.AsSpan(pieces))
        {
            var from = ids.Count;
            model.Encode(part.Span, plain, ids);
            words?.Add((ids.Count, false));
            if (tokens is not null)
                model.Spell(part.Span, CollectionsMarshal.AsSpan(ids)[from..], tokens);
        }
    }
}
