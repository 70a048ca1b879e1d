namespace Polymath.Text;

/// <summary>
/// All ways to write a word with some tokens, for the training of a unigram model. The first token stands for unknown characters.
/// </summary>
internal sealed class UnigramLattice
{
    private const double Negligible = 50;
    private readonly TokenTrie trie = new();
    private readonly int[] values;
    private readonly double[] scores;
    private readonly double unknownScore;

    // The steps of the current word: from, to, token; in the order of their starts.
    private readonly List<(int From, int To, int Id)> steps = [];

    /// <summary>A lattice over tokens with the logarithms of their probabilities.</summary>
    public UnigramLattice(IReadOnlyList<(string Token, double Score)> pieces)
    {
        for (var id = 1; id < pieces.Count; id++)
            trie.Add(pieces[id].Token, id);
        values = trie.Values();
        scores = [.. pieces.Select(piece => piece.Score)];
        unknownScore = scores.Skip(1).DefaultIfEmpty(0).Min() - UnigramModel.UnknownPenalty;
        scores[0] = unknownScore;
    }

    /// <summary>The expected count of each token in the words, over all ways to write them, weighted by their probabilities.</summary>
    /// <param name="words">The words with their counts.</param>
    /// <param name="likelihood">Receives the mean logarithm of a word's probability, or null.</param>
    public double[] Expect(IReadOnlyList<(string Word, long Count)> words, Action<double>? likelihood)
    {
        var expected = new double[scores.Length];
        double total = 0, all = words.Sum(word => (double)word.Count);
        foreach (var (word, count) in words)
        {
            Fill(word);
            var before = new double[word.Length + 1];
            var after = new double[word.Length + 1];
            before.AsSpan(1).Fill(double.NegativeInfinity);
            after.AsSpan(0, word.Length).Fill(double.NegativeInfinity);
            foreach (var (from, to, id) in steps)
                before[to] = Add(before[to], before[from] + scores[id]);
            for (var i = steps.Count - 1; i >= 0; i--)
                after[steps[i].From] = Add(after[steps[i].From], after[steps[i].To] + scores[steps[i].Id]);
            var whole = before[word.Length];
            foreach (var (from, to, id) in steps)
                expected[id] += count * Math.Exp(before[from] + scores[id] + after[to] - whole);
            total += count / all * whole;
        }

        likelihood?.Invoke(total);
        return expected;
    }

    /// <summary>How often each token is used when each word is written in its most probable way.</summary>
    public double[] CountBest(IReadOnlyList<(string Word, long Count)> words)
    {
        var uses = new double[scores.Length];
        foreach (var (word, count) in words)
        {
            foreach (var id in Best(word, 1)[0])
                uses[id] += count;
        }

        return uses;
    }

    /// <summary>How a token would be written without itself.</summary>
    /// <returns>Whether its best way is itself (or the only one), and then the tokens of the second best way.</returns>
    public (bool Alone, List<int> Others) Alternatives(string token)
    {
        var best = Best(token, 2);
        if (best.Count == 1)
            return (true, []);
        return best[0].Count >= 2 ? (false, []) : (true, best[1]);
    }

    private static double Add(double x, double y)
    {
        if (double.IsNegativeInfinity(x))
            return y;
        var (less, more) = x < y ? (x, y) : (y, x);
        return more > less + Negligible ? more : more + Math.Log(Math.Exp(less - more) + 1);
    }

    private void Fill(string word)
    {
        steps.Clear();
        for (int at = 0, width; at < word.Length; at += width)
        {
            _ = CharacterSets.At(word, at, out width);
            var single = false;
            var node = TokenTrie.Root;
            for (var end = at; end < word.Length;)
            {
                node = trie.Next(node, word[end++]);
                if (node <= 0)
                    break;
                if (values[node] < 0)
                    continue;
                steps.Add((at, end, values[node]));
                single |= end - at == width;
            }

            if (!single)
                steps.Add((at, at + width, 0));
        }
    }

    // The one or two most probable ways, best first.
    private List<List<int>> Best(string word, int most)
    {
        Fill(word);
        var ways = new List<(double Score, int Step, int Rank)>[word.Length + 1];
        ways[0] = [(0, -1, 0)];
        for (var step = 0; step < steps.Count; step++)
        {
            var (from, to, id) = steps[step];
            var into = ways[to] ??= [];
            for (var rank = 0; rank < (ways[from]?.Count ?? 0); rank++)
            {
                var score = ways[from][rank].Score + scores[id];
                var place = into.Count;
                while (place > 0 && into[place - 1].Score < score)
                    place--;
                if (place < most)
                    into.Insert(place, (score, step, rank));
                if (into.Count > most)
                    into.RemoveAt(most);
            }
        }

        return [.. Enumerable.Range(0, ways[word.Length]?.Count ?? 0).Select(rank => PathTo(ways, word.Length, rank))];
    }

    private List<int> PathTo(List<(double Score, int Step, int Rank)>[] ways, int end, int rank)
    {
        var path = new List<int>();
        while (end > 0)
        {
            var (_, step, before) = ways[end][rank];
            path.Add(steps[step].Id);
            (end, rank) = (steps[step].From, before);
        }

        path.Reverse();
        return path;
    }
}
