using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A unigram language model of tokens (Kudo 2018): of all ways to write a word the most probable one, found by Viterbi's algorithm.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    /// <summary>How much less probable than the rarest token an unknown character is, as a logarithm.</summary>
    public const double UnknownPenalty = 10;

    private const int ShortWord = 128;
    private readonly Dictionary<string, int> _vocabulary = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly double[] _scores;
    private readonly double _unknownScore;
    private readonly int _unknown;
    private readonly int[]? _fallback;
    private readonly WordCache _cache = new(), _plainCache = new();
    private readonly TokenTrie _trie = new(), _plainTrie = new();
    private readonly string[] _tokens;
    private readonly int[] _values;
    private int[] _plainValues = [];

    /// <summary>A model of tokens with the logarithms of their probabilities.</summary>
    /// <param name="pieces">The tokens in the order of their ids.</param>
    /// <param name="unknown">The id of the unknown token, or -1.</param>
    /// <param name="byteFallback">Whether unknown characters are written as bytes.</param>
    public UnigramModel(IReadOnlyList<(string Token, double Score)> pieces, int unknown, bool byteFallback)
    {
        _tokens = [.. pieces.Select(piece => piece.Token)];
        _scores = [.. pieces.Select(piece => piece.Score)];
        foreach (var (id, token) in _tokens.Index())
            _vocabulary[token] = id;
        _lookup = _vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        _unknown = unknown;
        _unknownScore = _scores.DefaultIfEmpty(0).Min() - UnknownPenalty;
        if (byteFallback)
            _fallback = [.. Enumerable.Range(0, 256).Select(value => _vocabulary.GetValueOrDefault($"<0x{value:X2}>", -1))];
        foreach (var (token, id) in _vocabulary)
            _trie.Add(token, id);
        _values = _trie.Values();
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <inheritdoc/>
    public override int Size => _tokens.Length;

    /// <summary>Reads the model from its part of the file.</summary>
    public static UnigramModel Read(JsonPart model)
    {
        var pieces = new List<(string, double)>();
        foreach (var item in model.Get("vocab").Items())
        {
            var parts = item.Items().ToList();
            if (parts.Count != 2)
                throw item.Fault("a token and its score are needed here");
            pieces.Add((parts[0].Text(), parts[1].Number()));
            if (pieces.Count > VocabularyReader.LargestId)
                throw item.Fault("the vocabulary is too large");
        }

        var unknown = model.Find("unk_id")?.Integer(0, int.MaxValue) ?? -1;
        if (unknown >= pieces.Count)
            throw model.Fault($"'unk_id' is {unknown}, and the vocabulary has {pieces.Count} tokens");
        return new(pieces, unknown, model.Find("byte_fallback")?.Flag() ?? false);
    }

    /// <inheritdoc/>
    public override void Prepare(IReadOnlySet<int> specialIds, bool readsBytes)
    {
        foreach (var (token, id) in _vocabulary)
        {
            if (id == _unknown || !specialIds.Contains(id))
                _plainTrie.Add(token, id);
        }

        _plainValues = _plainTrie.Values();
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? _plainCache : _cache;
        if (cache.TryGet(word, out var known))
        {
            into.AddRange(known);
            return;
        }

        var from = into.Count;
        if (word.Length < ShortWord)
        {
            Span<double> scores = stackalloc double[ShortWord];
            Span<int> ids = stackalloc int[ShortWord], starts = stackalloc int[ShortWord];
            Write(
                word,
                plain,
                scores[..(word.Length + 1)],
                ids,
                starts,
                into);
        }
        else
        {
            var scores = ArrayPool<double>.Shared.Rent(word.Length + 1);
            var places = ArrayPool<int>.Shared.Rent(2 * (word.Length + 1));
            Write(
                word,
                plain,
                scores.AsSpan(0, word.Length + 1),
                places,
                places.AsSpan(word.Length + 1),
                into);
            ArrayPool<double>.Shared.Return(scores);
            ArrayPool<int>.Shared.Return(places);
        }

        cache.Add(word, CollectionsMarshal.AsSpan(into)[from..]);
    }

    /// <inheritdoc/>
    public override void Spell(ReadOnlySpan<char> word, ReadOnlySpan<int> ids, List<string> into)
    {
        var scores = new double[word.Length + 1];
        var (found, starts) = (new int[word.Length + 1], new int[word.Length + 1]);
        Search(
            word,
            false,
            scores,
            found,
            starts);
        var from = into.Count;
        for (int end = word.Length, start; end > 0; end = start)
        {
            start = starts[end];
            if (found[end] != _unknown)
            {
                into.Add(_tokens[found[end]]);
                continue;
            }

            while (start > 0 && found[start] == _unknown)
                start = starts[start];
            var text = word[start..end].ToString();
            if (!_lookup.ContainsKey(text) && BytesOf(text) is { } bytes)
                into.AddRange(Enumerable.Reverse(bytes).Select(id => _tokens[id]));
            else
                into.Add(text);
        }

        into.Reverse(from, into.Count - from);
    }

    /// <summary>The most probable way to write a word, as ids, unknown characters joined; for the trainer and for tests.</summary>
    public List<int> Encode(string word)
    {
        var ids = new List<int>();
        Encode(word, false, ids);
        return ids;
    }

    private void Write(
        ReadOnlySpan<char> word,
        bool plain,
        Span<double> scores,
        Span<int> ids,
        Span<int> starts,
        List<int> into)
    {
        Search(
            word,
            plain,
            scores,
            ids,
            starts);
        var from = into.Count;
        for (var end = word.Length; end > 0;)
        {
            var start = starts[end];
            if (ids[end] != _unknown)
            {
                into.Add(ids[end]);
                end = start;
                continue;
            }

            while (start > 0 && ids[start] == _unknown)
                start = starts[start];
            AddUnknown(word[start..end], into);
            end = start;
        }

        CollectionsMarshal.AsSpan(into)[from..].Reverse();
    }

    // The best way to reach each place in the word: of equally good ones the one with the longer last token, which is found first.
    private void Search(
        ReadOnlySpan<char> word,
        bool plain,
        Span<double> scores,
        Span<int> ids,
        Span<int> starts)
    {
        var (trie, values) = plain ? (_plainTrie, _plainValues) : (_trie, _values);
        starts[..scores.Length].Fill(-1);
        scores[0] = 0;
        for (int at = 0, width; at < word.Length; at += width)
        {
            width = char.IsHighSurrogate(word[at]) && at + 1 < word.Length && char.IsLowSurrogate(word[at + 1]) ? 2 : 1;
            var here = scores[at];
            var single = false;
            var node = TokenTrie.Root;
            for (var end = at; end < word.Length;)
            {
                node = trie.Next(node, word[end++]);
                if (node <= 0)
                    break;
                var id = values[node];
                if (id < 0)
                    continue;
                Offer(
                    end,
                    here + _scores[id],
                    id,
                    at,
                    scores,
                    ids,
                    starts);
                single |= end - at == width;
            }

            if (!single)
                Offer(
                    at + width,
                    here + _unknownScore,
                    _unknown >= 0 ? _unknown : throw NoUnknown(word.Slice(at, width)),
                    at,
                    scores,
                    ids,
                    starts);
        }
    }

    private static void Offer(
        int end,
        double score,
        int id,
        int start,
        Span<double> scores,
        Span<int> ids,
        Span<int> starts)
    {
        if (starts[end] >= 0 && !(score > scores[end]))
            return;
        (scores[end], ids[end], starts[end]) = (score, id, start);
    }

    // In reverse, as all of the word is collected.
    private void AddUnknown(ReadOnlySpan<char> text, List<int> into)
    {
        if (_lookup.TryGetValue(text, out var id))
        {
            into.Add(id);
            return;
        }

        if (BytesOf(text) is { } bytes)
            into.AddRange(Enumerable.Reverse(bytes));
        else
            into.Add(_unknown);
    }

    // The tokens of its bytes, if there is one for each.
    private int[]? BytesOf(ReadOnlySpan<char> text)
    {
        if (_fallback is null)
            return null;
        int[] ids = [.. Encoding.UTF8.GetBytes(text.ToString()).Select(value => _fallback[value])];
        return Array.TrueForAll(ids, id => id >= 0) ? ids : null;
    }

    private static InputException NoUnknown(ReadOnlySpan<char> text)
        =>
        new($"the tokenizer has no token for '{text}' and no unknown token. Set unk_id in its file, or choose a tokenizer that has one.");
}
