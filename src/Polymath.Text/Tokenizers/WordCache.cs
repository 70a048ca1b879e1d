using System.Collections.Concurrent;

namespace Polymath.Text;

/// <summary>Remembers the ids of words seen before, up to a bound; for any number of threads.</summary>
internal sealed class WordCache
{
    private const int MostWords = 1 << 17, LongestWord = 128;
    private readonly ConcurrentDictionary<string, int[]> _words = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private int _count;

    /// <summary>An empty cache.</summary>
    public WordCache() => _lookup = _words.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>The ids of a word, if it was remembered.</summary>
    public bool TryGet(ReadOnlySpan<char> word, out int[] ids)
    {
        ids = [];
        return word.Length <= LongestWord && _lookup.TryGetValue(word, out ids!);
    }

    /// <summary>Remembers a word, unless it is too long or the cache is full.</summary>
    public void Add(ReadOnlySpan<char> word, ReadOnlySpan<int> ids)
    {
        if (word.Length <= LongestWord && Volatile.Read(ref _count) < MostWords && _words.TryAdd(word.ToString(), ids.ToArray()))
            Interlocked.Increment(ref _count);
    }
}
