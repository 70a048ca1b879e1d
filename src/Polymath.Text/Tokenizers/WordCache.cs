using System.Runtime.InteropServices;

namespace Polymath.Text;

/// <summary>
/// Caches the ids of words that were seen more than once, in a fixed number of places; a word may replace another. Safe for any number of
/// threads: a place is read and written atomically.
/// </summary>
internal sealed class WordCache
{
    private const int Places = 1 << 16, LongestWord = 128;
    private readonly Entry?[] entries = new Entry?[Places];
    private readonly uint[] seen = new uint[Places];

    private sealed record Entry(string Word, int[] Ids);

    /// <summary>The ids of a word, if it is cached.</summary>
    public bool TryGet(ReadOnlySpan<char> word, out int[] ids)
    {
        if (word.Length <= LongestWord && entries[Hash(word) % Places] is { } entry && word.SequenceEqual(entry.Word))
        {
            ids = entry.Ids;
            return true;
        }

        ids = [];
        return false;
    }

    /// <summary>Caches a word when it occurs the second time, unless it is too long: most words of a text occur once.</summary>
    public void Add(ReadOnlySpan<char> word, ReadOnlySpan<int> ids)
    {
        if (word.Length > LongestWord)
            return;
        var hash = Hash(word);
        ref var seen = ref this.seen[hash % Places];
        if (seen == hash)
            Volatile.Write(ref entries[hash % Places], new(word.ToString(), ids.ToArray()));
        seen = hash;
    }

    private static uint Hash(ReadOnlySpan<char> word)
    {
        const ulong Factor = 0x9E3779B97F4A7C15UL;
        var hash = (ulong)word.Length * Factor;
        var whole = MemoryMarshal.Cast<char, ulong>(word);
        foreach (var part in whole)
        {
            hash = (hash ^ part) * Factor;
            hash ^= hash >> 29;
        }

        for (var i = 4 * whole.Length; i < word.Length; i++)
            hash = (hash ^ word[i]) * Factor;
        return (uint)(hash >> 32);
    }
}
