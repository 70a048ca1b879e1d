using System.Runtime.InteropServices;

namespace Polymath.Text;

/// <summary>
/// Learns merges: the most frequent pair first, and among equally frequent ones the pair of the smaller ids. Pair counts are updated when
/// words change, and each pair has the list of its words, so that a merge touches only those.
/// </summary>
/// <param name="vocabulary">The tokens so far; learned ones are appended.</param>
/// <param name="prefix">The prefix of a token that continues a word; it is dropped when two tokens are merged.</param>
internal sealed class BpeLearner(List<string> vocabulary, string prefix = "")
{
    private readonly List<int> symbols = [];
    private readonly List<(int Start, int Length, long Count)> words = [];
    private readonly Dictionary<TokenPair, long> counts = [];
    private readonly PriorityQueue<(TokenPair Pair, long Count, List<int> Words), (long, TokenPair)> queue = new();

    // Pairs made by the current merge, with their words.
    private Dictionary<TokenPair, List<int>> fresh = [];

    /// <summary>Adds a word.</summary>
    /// <param name="symbols">Its ids.</param>
    /// <param name="count">How often it occurs.</param>
    public void AddWord(ReadOnlySpan<int> symbols, long count)
    {
        var word = words.Count;
        words.Add((this.symbols.Count, symbols.Length, count));
        this.symbols.AddRange(symbols);
        for (var i = 0; i + 1 < symbols.Length; i++)
            Change(symbols[i], symbols[i + 1], count, word);
    }

    /// <summary>Learns until the vocabulary is full or no pair is frequent enough.</summary>
    /// <returns>The merges, in the order they are to be applied.</returns>
    public List<(string Left, string Right)> Learn(int vocabularySize, long minimumCount)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (id, token) in vocabulary.Index())
            ids.TryAdd(token, id);
        var merges = new List<TokenPair>();
        EnqueueFresh();
        while (vocabulary.Count < vocabularySize && queue.TryDequeue(out var top, out _))
        {
            var now = counts[top.Pair];
            if (now != top.Count)
            {
                queue.Enqueue(top with { Count = now }, (-now, top.Pair));
                continue;
            }

            if (now < Math.Max(1, minimumCount))
                break;
            var (left, right) = top.Pair;
            var token = vocabulary[left]
                + (vocabulary[right].StartsWith(prefix, StringComparison.Ordinal) ? vocabulary[right][prefix.Length..] : vocabulary[right]);
            if (!ids.TryGetValue(token, out var id))
            {
                id = ids[token] = vocabulary.Count;
                vocabulary.Add(token);
            }

            merges.Add(top.Pair);
            foreach (var word in top.Words)
                Merge(word, left, right, id);
            EnqueueFresh();
        }

        return [.. LastOfEach(merges).Select(pair => (vocabulary[pair.Left], vocabulary[pair.Right]))];
    }

    // When a token can be made in two ways, the same pair can occur twice; the table of merges has it once, with its later rank.
    private static List<TokenPair> LastOfEach(List<TokenPair> merges)
    {
        var seen = new HashSet<TokenPair>();
        List<TokenPair> kept = [.. Enumerable.Reverse(merges).Where(seen.Add)];
        kept.Reverse();
        return kept;
    }

    private void EnqueueFresh()
    {
        foreach (var (pair, words) in fresh)
        {
            if (counts[pair] is > 0 and var count)
                queue.Enqueue((pair, count, words), (-count, pair));
        }

        // Not cleared: for each merge, that would take time in proportion to its largest size.
        fresh = [];
    }

    private void Merge(int word, int left, int right, int id)
    {
        var (start, length, count) = words[word];
        var symbols = CollectionsMarshal.AsSpan(this.symbols).Slice(start, length);
        var kept = 0;
        for (var i = 0; i < length; i++)
        {
            if (symbols[i] != left || i + 1 >= length || symbols[i + 1] != right)
            {
                symbols[kept++] = symbols[i];
                continue;
            }

            if (kept > 0)
            {
                Change(symbols[kept - 1], left, -count, word);
                Change(symbols[kept - 1], id, count, word);
            }

            if (i + 2 < length)
            {
                Change(right, symbols[i + 2], -count, word);
                Change(id, symbols[i + 2], count, word);
            }

            symbols[kept++] = id;
            i++;
        }

        words[word] = (start, kept, count);
    }

    private void Change(int left, int right, long count, int word)
    {
        var pair = new TokenPair(left, right);
        CollectionsMarshal.GetValueRefOrAddDefault(counts, pair, out _) += count;
        if (count <= 0)
            return;
        ref var words = ref CollectionsMarshal.GetValueRefOrAddDefault(fresh, pair, out _);
        words ??= [];
        if (words.Count == 0 || words[^1] != word)
            words.Add(word);
    }
}
