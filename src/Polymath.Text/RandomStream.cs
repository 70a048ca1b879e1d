namespace Polymath.Text;

/// <summary>
/// A repeatable stream of random numbers (SplitMix64, Steele et al. 2014), seeded by its purpose: the same names give the same numbers,
/// independent of other streams.
/// </summary>
public struct RandomStream
{
    private ulong state;
    private double spare = double.NaN;

    /// <summary>A stream for a purpose.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="purpose">What the numbers are for, such as a weight's name.</param>
    /// <param name="indices">Which of several, such as the round and the row.</param>
    public RandomStream(long seed, string purpose, params ReadOnlySpan<long> indices)
    {
        ArgumentNullException.ThrowIfNull(purpose);
        var mixed = Mix((ulong)seed + 0x9E3779B97F4A7C15);
        foreach (var c in purpose) mixed = Mix(mixed ^ c);
        foreach (var index in indices) mixed = Mix(mixed ^ Mix((ulong)index + 0x9E3779B97F4A7C15));
        state = mixed;
    }

    /// <summary>64 random bits.</summary>
    public ulong NextBits() => Mix(state += 0x9E3779B97F4A7C15);

    /// <summary>A number in [0, 1).</summary>
    public double NextDouble() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A whole number in [0, count).</summary>
    /// <param name="count">The number of outcomes, at least 1.</param>
    public int Next(int count) => (int)(((NextBits() >> 32) * (ulong)count) >> 32);

    /// <summary>A number from the standard normal distribution (Box and Muller 1958).</summary>
    public double NextNormal()
    {
        if (!double.IsNaN(spare))
        {
            var kept = spare;
            spare = double.NaN;
            return kept;
        }
        double radius = Math.Sqrt(-2 * Math.Log(1 - NextDouble())), angle = 2 * Math.PI * NextDouble();
        spare = radius * Math.Sin(angle);
        return radius * Math.Cos(angle);
    }

    /// <summary>A bijective scramble of 64 bits.</summary>
    /// <param name="x">The bits.</param>
    public static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
