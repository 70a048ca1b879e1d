using System.Text;
using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>Makes a tokenizer with one token per character, and bytes for the characters that are too rare.</summary>
public static class CharacterTokenizerTrainer
{
    /// <summary>Learns the characters.</summary>
    /// <param name="texts">The texts; they are read once.</param>
    /// <param name="minimumCount">How often a character must occur to get a token.</param>
    /// <param name="specialTokens">The special tokens, which get the first ids; 256 bytes follow, then the characters by decreasing count,
    /// equal ones by code point.</param>
    /// <exception cref="InputException">A special token could be mistaken for text.</exception>
    public static Tokenizer Train(IEnumerable<string> texts, int minimumCount, IReadOnlyList<string> specialTokens)
    {
        TokenizerJson.CheckSpecial(specialTokens);
        var counts = new long[0x110000];
        foreach (var text in texts)
        {
            foreach (var rune in text.EnumerateRunes())
                counts[rune.Value]++;
        }

        var characters = counts.Index().Where(entry => entry.Item > 0 && entry.Item >= minimumCount)
            .OrderByDescending(entry => entry.Item).ThenBy(entry => entry.Index).Select(entry => new Rune(entry.Index).ToString());
        var bytes = Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>");
        return TokenizerJson.Characters([.. specialTokens, .. bytes, .. characters], specialTokens);
    }
}
