namespace Polymath.Text.Packing;

/// <summary>
/// A random order of 0..count−1 in which each place is computed separately, in constant time and memory: a Feistel network over the next
/// power of four, applied until the result is inside (Black &amp; Rogaway 2002). So a resumed run finds its place in an epoch without
/// replaying it.
/// </summary>
public readonly struct Permutation
{
    private const int Rounds = 6;
    private readonly ulong seed;
    private readonly int halfBits;

    /// <summary>The order of an epoch.</summary>
    /// <param name="count">The number of items, at least 1.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="purpose">What is ordered.</param>
    /// <param name="epoch">Which pass over the items.</param>
    public Permutation(int count, long seed, string purpose, long epoch)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        Count = count;
        this.seed = new RandomStream(seed, purpose, epoch).NextBits();
        halfBits = 1;
        while (1L << (2 * halfBits) < count) halfBits++;
    }

    /// <summary>The number of items.</summary>
    public int Count { get; }

    /// <summary>The item at a place.</summary>
    /// <param name="place">The place, from 0.</param>
    public int this[int place]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)place, (uint)Count);
            var x = (ulong)place;
            do x = Scramble(x);
            while (x >= (ulong)Count);
            return (int)x;
        }
    }

    private ulong Scramble(ulong x)
    {
        var mask = (1UL << halfBits) - 1;
        ulong left = x >> halfBits, right = x & mask;
        for (var round = 0; round < Rounds; round++)
            (left, right) = (right, left ^ (RandomStream.Mix(right ^ seed ^ ((ulong)round << 56)) & mask));
        return (left << halfBits) | right;
    }
}
