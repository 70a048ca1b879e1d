using System.Runtime.InteropServices;
using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Learns byte-level byte-pair encoding (Sennrich et al. 2016, with the byte alphabet and word pattern of GPT-2): the same vocabulary and
/// merges, in the same order,
/// as the trainer of Hugging Face's tokenizers library with the whole byte alphabet given to it.
/// </summary>
public static class ByteLevelBpeTrainer
{
    /// <summary>Learns the merges.</summary>
    /// <param name="texts">The texts; they are read once. Words never cross the end of a text.</param>
    /// <param name="vocabularySize">The number of tokens to reach, special ones and the 256 bytes included; fewer when nothing is left to
    /// merge.</param>
    /// <param name="minimumCount">How often a pair must occur to be merged.</param>
    /// <param name="specialTokens">The special tokens, which get the first ids.</param>
    /// <exception cref="InputException">A special token could be mistaken for text, or the vocabulary has no room for the
    /// bytes.</exception>
    public static Tokenizer Train(IEnumerable<string> texts, int vocabularySize, int minimumCount, IReadOnlyList<string> specialTokens)
    {
        TokenizerJson.CheckSpecial(specialTokens);
        if (vocabularySize < specialTokens.Count + 256)
            throw new InputException($"a vocabulary of {vocabularySize} tokens has no room for {specialTokens.Count} special tokens and "
                + $"256 bytes. Set vocabularySize to {specialTokens.Count + 256} or more.");
        List<string> vocabulary = [.. specialTokens];
        var idOfByte = new int[256];
        foreach (var value in ByteAlphabet.BytesInOrder())
        {
            idOfByte[value] = vocabulary.Count;
            vocabulary.Add(ByteAlphabet.CharacterOf(value).ToString());
        }

        var learner = new BpeLearner(vocabulary);
        foreach (var (word, count) in CountWords(texts))
            learner.AddWord([.. Encoding.UTF8.GetBytes(word).Select(value => idOfByte[value])], count);
        var merges = learner.Learn(vocabularySize, minimumCount);
        return TokenizerJson.ByteLevel(vocabulary, merges, specialTokens);
    }

    /// <summary>How often each word occurs.</summary>
    internal static Dictionary<string, long> CountWords(IEnumerable<string> texts)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var scanner = WordScanner.Gpt2;
        foreach (var text in texts)
        {
            var span = text.AsSpan();
            for (int at = 0, end; at < span.Length; at = end)
            {
                end = scanner.EndOf(span, at);
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, span[at..end], out _)++;
            }
        }

        return counts;
    }
}
