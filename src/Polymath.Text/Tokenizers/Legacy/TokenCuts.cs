namespace Polymath.Text;

/// <summary>
/// Finds places where a text can be cut without changing its tokens: between two characters that are not neighbours in any token. Merging
/// never crosses such a place, so the words between can be encoded and cached one by one.
/// </summary>
internal sealed class TokenCuts
{
    private readonly ulong[] pairs;
    private readonly int shift;

    /// <summary>The possible cuts for some tokens.</summary>
    public TokenCuts(IEnumerable<string> tokens)
    {
        var pairs = new HashSet<uint>();
        foreach (var token in tokens)
        {
            for (var i = 0; i + 1 < token.Length; i++)
                pairs.Add(Pair(token[i], token[i + 1]));
        }

        // A Bloom filter: a pair that is wrongly found in it only makes a word longer.
        var size = 12;
        while (1 << size < 16 * pairs.Count)
            size++;
        (shift, this.pairs) = (32 - size, new ulong[(1 << size) / 64]);
        foreach (var pair in pairs)
        {
            var place = Place(pair);
            this.pairs[place >> 6] |= 1UL << (int)place;
        }
    }

    /// <summary>The end of the word that starts at a place.</summary>
    public int EndOf(ReadOnlySpan<char> text, int start)
    {
        for (var at = start + 1; at < text.Length; at++)
        {
            var place = Place(Pair(text[at - 1], text[at]));
            if ((pairs[place >> 6] >> (int)place & 1) == 0 && !char.IsLowSurrogate(text[at]))
                return at;
        }

        return text.Length;
    }

    private static uint Pair(char first, char second) => (uint)first << 16 | second;

    private uint Place(uint pair) => pair * 0x9E3779B1U >> shift;
}
