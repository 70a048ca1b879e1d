using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// A unigram language model of tokens (Kudo 2018): it finds the most probable way to write a word with Viterbi's algorithm.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    /// <summary>An unknown character is less probable than the rarest token by this logarithm.</summary>
    public const double UnknownPenalty = 10;

    private const int ShortWord = 128;
    private readonly Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> lookup;
    private readonly double[] scores;
    private readonly double unknownScore;
    private readonly int unknown;
    private readonly int[]? fallback;
    private readonly WordCache cache = new(), plainCache = new();
    private readonly TokenTrie trie = new(), plainTrie = new();
    private readonly string[] tokens;
    private readonly int[] values;
    private int[] plainValues = [];

    /// <summary>A model of tokens with the logarithms of their probabilities.</summary>
    /// <param name="pieces">The tokens in the order of their ids.</param>
    /// <param name="unknown">The id of the unknown token, or -1.</param>
    /// <param name="byteFallback">Whether unknown characters are written as bytes.</param>
    public UnigramModel(IReadOnlyList<(string Token, double Score)> pieces, int unknown, bool byteFallback)
    {
        tokens = [.. pieces.Select(piece => piece.Token)];
        scores = [.. pieces.Select(piece => piece.Score)];
        foreach (var (id, token) in tokens.Index())
            vocabulary[token] = id;
        lookup = vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        this.unknown = unknown;
        unknownScore = scores.DefaultIfEmpty(0).Min() - UnknownPenalty;
        if (byteFallback)
            fallback = [.. Enumerable.Range(0, 256).Select(value => vocabulary.GetValueOrDefault($"<0x{value:X2}>", -1))];
        foreach (var (token, id) in vocabulary)
            trie.Add(token, id);
        values = trie.Values();
    }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, int> Vocabulary => vocabulary;

    /// <inheritdoc/>
    public override int Size => tokens.Length;

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
        foreach (var (token, id) in vocabulary)
        {
            if (id == unknown || !specialIds.Contains(id))
                plainTrie.Add(token, id);
        }

        plainValues = plainTrie.Values();
    }

    /// <inheritdoc/>
    public override void Encode(ReadOnlySpan<char> word, bool plain, List<int> into)
    {
        if (word.IsEmpty)
            return;
        var cache = plain ? plainCache : this.cache;
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
            if (found[end] != unknown)
            {
                into.Add(tokens[found[end]]);
                continue;
            }

            while (start > 0 && found[start] == unknown)
                start = starts[start];
            var text = word[start..end].ToString();
            if (!lookup.ContainsKey(text) && BytesOf(text) is { } bytes)
                into.AddRange(Enumerable.Reverse(bytes).Select(id => tokens[id]));
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
            if (ids[end] != unknown)
            {
                into.Add(ids[end]);
                end = start;
                continue;
            }

            while (start > 0 && ids[start] == unknown)
                start = starts[start];
            AddUnknown(word[start..end], into);
            end = start;
        }

        CollectionsMarshal.AsSpan(into)[from..].Reverse();
    }

    // The best way to reach each place in the word; among equally good ones, the one with the longer last token, which is found first.
    private void Search(
        ReadOnlySpan<char> word,
        bool plain,
        Span<double> scores,
        Span<int> ids,
        Span<int> starts)
    {
        var (trie, values) = plain ? (plainTrie, plainValues) : (this.trie, this.values);
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
                    here + this.scores[id],
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
                    here + unknownScore,
                    unknown >= 0 ? unknown : throw NoUnknown(word.Slice(at, width)),
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

    // In reverse order, because the word is collected from its end.
    private void AddUnknown(ReadOnlySpan<char> text, List<int> into)
    {
        if (lookup.TryGetValue(text, out var id))
        {
            into.Add(id);
            return;
        }

        if (BytesOf(text) is { } bytes)
            into.AddRange(Enumerable.Reverse(bytes));
        else
            into.Add(unknown);
    }

    // The tokens of its bytes, if there is one for each.
    private int[]? BytesOf(ReadOnlySpan<char> text)
    {
        if (fallback is null)
            return null;
        int[] ids = [.. Encoding.UTF8.GetBytes(text.ToString()).Select(value => fallback[value])];
        return Array.TrueForAll(ids, id => id >= 0) ? ids : null;
    }

    private static InputException NoUnknown(ReadOnlySpan<char> text)
        =>
        new($"the tokenizer has no token for '{text}' and no unknown token. Set unk_id in its file, or choose a tokenizer that has one.");
}
