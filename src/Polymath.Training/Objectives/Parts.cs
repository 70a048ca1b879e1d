namespace Polymath.Training.Objectives;

/// <summary>Divides items into parts of a limited size.</summary>
public static class Parts
{
    /// <summary>The items in order, as many in a part as fit into the limit; an item that is larger is a part of its own.</summary>
    /// <typeparam name="T">The type of the items.</typeparam>
    /// <param name="things">The items.</param>
    /// <param name="size">The size of one, in tokens.</param>
    /// <param name="limit">The most tokens of a part.</param>
    public static IEnumerable<List<T>> Of<T>(IEnumerable<T> things, Func<T, long> size, long limit)
    {
        ArgumentNullException.ThrowIfNull(things);
        ArgumentNullException.ThrowIfNull(size);
        var part = new List<T>();
        var taken = 0L;
        foreach (var thing in things)
        {
            if (part.Count > 0 && taken + size(thing) > limit)
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
