using System.Runtime.InteropServices;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Learns a WordPiece vocabulary as Hugging Face's trainer does: by merging the most frequent pairs, as byte-pair encoding does, on
/// characters with a prefix where they continue a word.
/// </summary>
public static class WordPieceTrainer
{
    /// <summary>The prefix of a token that continues a word.</summary>
    public const string Prefix = "##";

    /// <summary>The unknown token.</summary>
    public const string Unknown = "[UNK]";

    /// <summary>Learns the tokens.</summary>
    /// <param name="texts">The texts; they are read once.</param>
    /// <param name="vocabularySize">The number of tokens to reach, special ones and characters included; fewer when nothing is left to
    /// merge.</param>
    /// <param name="minimumCount">How often a pair must occur to be merged.</param>
    /// <param name="specialTokens">The special tokens, which get the first ids; the unknown token is added after them when it is not among
    /// them.</param>
    /// <param name="normalizes">Whether texts are cleaned, made lower case and stripped of accents, as in BERT.</param>
    /// <exception cref="InputException">A special token could be mistaken for text, or the vocabulary has no room for the
    /// characters.</exception>
    public static Tokenizer Train(
        IEnumerable<string> texts,
        int vocabularySize,
        int minimumCount,
        IReadOnlyList<string> specialTokens,
        bool normalizes = true)
        => Train(
            texts,
            vocabularySize,
            minimumCount,
            specialTokens,
            normalizes,
            characters => characters.Order(StringComparer.Ordinal));

    /// <summary>The same, with the order of the ids of the prefixed characters, which decides between equally frequent pairs.</summary>
    internal static Tokenizer Train(
        IEnumerable<string> texts,
        int vocabularySize,
        int minimumCount,
        IReadOnlyList<string> specialTokens,
        bool normalizes,
        Func<IEnumerable<string>, IEnumerable<string>> order)
    {
        if (!specialTokens.Contains(Unknown))
            specialTokens = [.. specialTokens, Unknown];
        TokenizerJson.CheckSpecial(specialTokens);
        var words = CountWords(texts, normalizes ? new BertNormalizer(true, true, true, true) : null);
        var firsts = words.Keys.SelectMany(word => word.EnumerateRunes()).Distinct().Order().Select(rune => rune.ToString());
        List<string> vocabulary = [.. specialTokens, .. firsts];
        var later = words.Keys.SelectMany(word => word.EnumerateRunes().Skip(1)).Distinct().Select(rune => Prefix + rune);
        vocabulary.AddRange(order(later));
        if (vocabulary.Count > vocabularySize)
            throw new InputException($"a vocabulary of {vocabularySize} tokens has no room for {specialTokens.Count} special tokens and "
                + $"{vocabulary.Count - specialTokens.Count} characters. Set the size to {vocabulary.Count} or more.");
        var ids = vocabulary.Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        var learner = new BpeLearner(vocabulary, Prefix);
        foreach (var (word, count) in words)
            learner.AddWord([.. word.EnumerateRunes().Select((rune, place) => ids[(place > 0 ? Prefix : "") + rune])], count);
        learner.Learn(vocabularySize, minimumCount);
        return TokenizerJson.WordPiece(vocabulary, specialTokens, Unknown, normalizes);
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> texts, Normalizer? normalizer)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var splitter = new BertPreTokenizer();
        var pieces = new List<Piece>();
        foreach (var text in texts)
        {
            var clean = normalizer?.Apply(text) ?? text;
            pieces.Clear();
            splitter.Split(new(clean, 0, clean.Length, true), pieces);
            foreach (var piece in pieces)
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, piece.Span, out _)++;
        }

        return counts;
    }
}
