using System.Text;

namespace Polymath.Text;

/// <summary>
/// The candidates a unigram model starts from: every character, and all strings of up to 16 characters that occur more than once in the
/// list of words with different continuations (the inner nodes of the suffix tree), weighted by length and count.
/// </summary>
internal static class UnigramSeeds
{
    private const int LongestToken = 16, MostSeeds = 1_000_000;

    /// <summary>Finds them, the characters first, both by decreasing weight, with the logarithms of their shares.</summary>
    public static IEnumerable<(string Token, double Score)> Find(IReadOnlyList<(string Word, long Count)> words)
    {
        var text = new List<int>();
        var counts = new Dictionary<int, long>();
        foreach (var (word, count) in words)
        {
            foreach (var rune in word.EnumerateRunes())
            {
                text.Add(rune.Value);
                // A zero ends a word, so no character may be zero.
                if (rune.Value != 0)
                    counts[rune.Value] = counts.GetValueOrDefault(rune.Value) + count;
            }

            text.Add(0);
        }

        var characters = counts.OrderByDescending(entry => entry.Value)
            .ThenByDescending(entry => entry.Key).Select(entry => (new Rune(entry.Key).ToString(), entry.Value));
        int[] codes = [.. text];
        var strings = Repeated(codes).OrderByDescending(entry => entry.Weight).ThenBy(entry => entry, new LaterFirst(codes))
            .Select(entry => (TextOf(codes, entry.Start, entry.Length), entry.Weight));
        var seeds = characters.Concat(strings).Take(MostSeeds).ToList();
        var total = Math.Log(seeds.Sum(seed => (double)seed.Item2));
        return seeds.Select(seed => (seed.Item1, Math.Log(seed.Item2) - total));
    }

    // The intervals of sorted suffixes with a longer common prefix than with their neighbours.
    private static List<(int Start, int Length, long Weight)> Repeated(int[] codes)
    {
        int[] suffixes = [.. Enumerable.Range(0, codes.Length).Where(at => codes[at] != 0)];
        Array.Sort(suffixes, (first, second) => Compare(codes, first, second) is var order && order != 0 ? order : first.CompareTo(second));
        var found = new List<(int, int, long)>();
        var open = new Stack<(int Length, int First)>();
        for (var i = 1; i <= suffixes.Length; i++)
        {
            var shared = i < suffixes.Length ? Shared(codes, suffixes[i - 1], suffixes[i]) : 0;
            var first = i - 1;
            while (open.TryPeek(out var top) && top.Length > shared)
            {
                open.Pop();
                first = top.First;
                // A string that crosses the end of a word is not a token.
                if (top.Length is > 1 and <= LongestToken && codes[suffixes[first] + top.Length - 1] != 0)
                    found.Add((suffixes[first], top.Length, (long)(i - first) * top.Length));
            }

            if (shared > 0 && (!open.TryPeek(out var under) || under.Length < shared))
                open.Push((shared, first));
        }

        return found;
    }

    private static int Compare(int[] codes, int first, int second)
    {
        var shared = Shared(codes, first, second);
        return shared > LongestToken || codes[first + Math.Max(0, shared - 1)] == 0
            ? 0
            : codes[first + shared].CompareTo(codes[second + shared]);
    }

    // Up to one character past the longest token, or to the end of both words.
    private static int Shared(int[] codes, int first, int second)
    {
        var length = 0;
        while (length <= LongestToken && codes[first + length] == codes[second + length])
        {
            if (codes[first + length++] == 0)
                break;
        }

        return length;
    }

    private static string TextOf(int[] codes, int start, int length) =>
        string.Concat(codes.AsSpan(start, length).ToArray().Select(code => new Rune(code).ToString()));

    private sealed class LaterFirst(int[] codes) : IComparer<(int Start, int Length, long Weight)>
    {
        public int Compare((int Start, int Length, long Weight) x, (int Start, int Length, long Weight) y)
            => codes.AsSpan(y.Start, y.Length).SequenceCompareTo(codes.AsSpan(x.Start, x.Length));
    }
}
