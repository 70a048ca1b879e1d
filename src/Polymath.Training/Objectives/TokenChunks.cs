namespace Polymath.Training.Objectives;

/// <summary>Deals things out into parts of a size.</summary>
public static class TokenChunks
{
    /// <summary>The most tokens of a pass that only measures or scores.</summary>
    public const long Measured = 8192;

    /// <summary>The things in order, as many to a part as fit into the limits; one that is larger is a part of its own.</summary>
    /// <typeparam name="T">What is dealt out.</typeparam>
    /// <param name="things">The things.</param>
    /// <param name="size">The size of one, in tokens.</param>
    /// <param name="limit">The most tokens of a part.</param>
    /// <param name="most">The most things of a part.</param>
    public static IEnumerable<List<T>> Of<T>(IEnumerable<T> things, Func<T, long> size, long limit, int most = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(things);
        ArgumentNullException.ThrowIfNull(size);
        var part = new List<T>();
        var taken = 0L;
        foreach (var thing in things)
        {
            if (part.Count >= most || (part.Count > 0 && taken + size(thing) > limit))
            {
                yield return part;
                (part, taken) = ([], 0);
            }
            part.Add(thing);
            taken += size(thing);
        }
        if (part.Count > 0) yield return part;
    }
}
