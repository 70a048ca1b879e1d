using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Learns a unigram language model of tokens (Kudo 2018) the way Hugging Face's trainer does: many candidates, expectation maximisation
/// with a sparse prior, and pruning of those with the smallest effect on the likelihood, until the size is reached. Everything is done in a
/// fixed order, so that the same texts give the same tokens.
/// </summary>
public static class UnigramTrainer
{
    /// <summary>The sign for a space.</summary>
    public const string Space = "\u2581";

    /// <summary>The unknown token.</summary>
    public const string Unknown = "<unk>";

    // A byte token must never be more probable than the characters of its name.
    private const double ByteScore = -1e6;
    private const int Bytes = 256, SubSteps = 2;
    private const double Shrinking = 0.75, LeastExpected = 0.5, PenaltyStep = 0.0001;

    /// <summary>Learns the tokens.</summary>
    /// <param name="texts">The texts; they are read once. Tokens never cross a space.</param>
    /// <param name="vocabularySize">The number of tokens, special ones, the 256 bytes and all characters included; fewer when there are no
    /// more candidates.</param>
    /// <param name="specialTokens">The special tokens, which get the first ids; the unknown token is added after them when it is not among
    /// them.</param>
    /// <exception cref="InputException">A special token could be mistaken for text, or the vocabulary has no room for the
    /// characters.</exception>
    public static Tokenizer Train(IEnumerable<string> texts, int vocabularySize, IReadOnlyList<string> specialTokens) =>
        Train(texts, vocabularySize, specialTokens, null);

    internal static Tokenizer Train(
        IEnumerable<string> texts, int vocabularySize, IReadOnlyList<string> specialTokens, Action<double>? likelihood)
    {
        if (!specialTokens.Contains(Unknown))
            specialTokens = [.. specialTokens, Unknown];
        TokenizerJson.CheckSpecial(specialTokens);
        var words = CountWords(texts).OrderByDescending(word => word.Value)
            .ThenBy(word => word.Key, StringComparer.Ordinal).Select(word => (word.Key, word.Value)).ToList();
        var characters = words.SelectMany(word => word.Key.EnumerateRunes()).Distinct().Order().Select(rune => rune.ToString()).ToList();
        var room = vocabularySize - specialTokens.Count - Bytes;
        if (room < characters.Count || room < 1)
            throw new InputException($"a vocabulary of {vocabularySize} tokens has no room for {specialTokens.Count} special tokens, "
                + $"{Bytes} bytes and {characters.Count} characters. Set the size to "
                + $"{specialTokens.Count + Bytes + Math.Max(1, characters.Count)} or more.");
        var pieces = Learn(words, vocabularySize - Bytes, likelihood);
        var special = specialTokens.Select(token => (token, 0.0));
        var bytes = Enumerable.Range(0, Bytes).Select(value => ($"<0x{value:X2}>", ByteScore));
        return TokenizerJson.Unigram(
            [.. special, .. bytes, .. Finish(pieces, characters, room)], specialTokens, specialTokens.ToList().IndexOf(Unknown));
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> texts)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var splitter = new MetaspacePreTokenizer(Space[0], "never", true);
        var pieces = new List<Piece>();
        foreach (var text in texts)
        {
            pieces.Clear();
            if (text.Length > 0)
                splitter.Split(new(text, 0, text.Length, true), pieces);
            foreach (var piece in pieces)
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, piece.Span, out _)++;
        }

        return counts;
    }

    // The first piece stands for the unknown.
    private static List<(string Token, double Score)> Learn(List<(string Word, long Count)> words, int size, Action<double>? likelihood)
    {
        var most = (int)(size * 11L / 10);
        List<(string Token, double Score)> pieces = [(Unknown, double.NaN), .. UnigramSeeds.Find(words)];
        while (true)
        {
            for (var step = 0; step < SubSteps; step++)
                pieces = Maximise(pieces, new UnigramLattice(pieces).Expect(words, likelihood));
            if (pieces.Count <= most)
                return pieces;
            pieces = Prune(pieces, words, Math.Max(most, (int)(pieces.Count * Shrinking)));
        }
    }

    // The expected counts as probabilities under a prior that favours few tokens (Liang and Klein 2007).
    private static List<(string Token, double Score)> Maximise(List<(string Token, double Score)> pieces, double[] expected)
    {
        var kept = Enumerable.Range(1, pieces.Count - 1).Where(id => expected[id] >= LeastExpected).ToList();
        var total = Digamma(kept.Sum(id => expected[id]));
        return [pieces[0], .. kept.Select(id => (pieces[id].Token, Digamma(expected[id]) - total))];
    }

    private static List<(string Token, double Score)> Prune(
        List<(string Token, double Score)> pieces, List<(string Word, long Count)> words, int size)
    {
        var lattice = new UnigramLattice(pieces);
        var counts = lattice.CountBest(words);
        double sum = counts.Sum(), all = words.Sum(word => (double)word.Count);
        List<(string Token, double Score)> kept = [pieces[0]];
        var candidates = new List<(int Id, double Loss)>();
        for (var id = 1; id < pieces.Count; id++)
        {
            var (alone, others) = lattice.Alternatives(pieces[id].Token);
            if (counts[id] == 0 && !alone)
                continue;
            if (others.Count == 0)
            {
                kept.Add(pieces[id]);
                continue;
            }

            if (counts[id] == 0)
                continue;
            // The loss of likelihood when the token's occurrences are written in the best other way.
            var before = Math.Log(counts[id]) - Math.Log(sum);
            var after = Math.Log(sum + counts[id] * (others.Count - 1));
            candidates.Add((id, counts[id] / all * (before - others.Sum(other => Math.Log(counts[other] + counts[id]) - after))));
        }

        kept.AddRange(candidates.OrderByDescending(candidate => candidate.Loss)
            .Take(Math.Max(0, size - kept.Count)).Select(candidate => pieces[candidate.Id]));
        return kept;
    }

    // All characters (pruned ones with a score a little above the rarest token), then the best other tokens, by decreasing score.
    private static IEnumerable<(string Token, double Score)> Finish(
        List<(string Token, double Score)> pieces, List<string> characters, int room)
    {
        var scores = pieces.Skip(1).ToDictionary(piece => piece.Token, piece => piece.Score, StringComparer.Ordinal);
        var least = scores.Values.DefaultIfEmpty(0).Min();
        var missing = 0;
        var required = characters
            .Select(character => (character, scores.TryGetValue(character, out var score) ? score : least + PenaltyStep * missing++))
            .ToList();
        var known = characters.ToHashSet(StringComparer.Ordinal);
        var rest = pieces.Skip(1).Where(piece => !known.Contains(piece.Token)).Take(room - required.Count);
        return required.Concat(rest).OrderByDescending(piece => piece.Item2);
    }

    /// <summary>The derivative of the logarithm of the gamma function, by recurrence and its asymptotic series.</summary>
    internal static double Digamma(double x)
    {
        var result = 0.0;
        for (; x < 7; x++)
            result -= 1 / x;
        x -= 0.5;
        var square = 1 / (x * x);
        var fourth = square * square;
        return result + Math.Log(x) + square / 24 - 7.0 / 960 * fourth + 31.0 / 8064 * fourth * square - 127.0 / 30720 * fourth * fourth;
    }
}
