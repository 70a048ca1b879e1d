using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>How many examples are drawn: so many in all, or so many of each label.</summary>
/// <param name="Total">In all, or null.</param>
/// <param name="PerLabel">Of each label, or null.</param>
public sealed record ExampleCount(int? Total = null, int? PerLabel = null)
{
    /// <summary>Refuses a count that says nothing, or two things.</summary>
    /// <exception cref="InputException">Neither or both are set.</exception>
    public ExampleCount Checked()
    {
        if (Total.HasValue != PerLabel.HasValue) return this;
        var given = Total is null ? "neither" : "both";
        throw new InputException($"Examples are counted either in all or by label, but {given} is given.");
    }
}

/// <summary>Draws few examples for training and, if wanted, others for choosing (Gao et al. 2021, section 3).</summary>
public static class FewShot
{
    /// <summary>Draws places of examples. Where there are too few, all are taken.</summary>
    /// <param name="labels">The label of each example.</param>
    /// <param name="count">How many.</param>
    /// <param name="random">The random numbers.</param>
    /// <param name="without">Places that are not drawn again.</param>
    public static IReadOnlyList<int> Draw(
        IReadOnlyList<int> labels,
        ExampleCount count,
        RandomStream random,
        IReadOnlyCollection<int>? without = null)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(count);
        _ = count.Checked();
        var taken = without?.ToHashSet() ?? [];
        var places = Shuffled(Enumerable.Range(0, labels.Count).Where(i => !taken.Contains(i)), ref random);
        return count.Total is { } total
            ? [.. places.Take(total)]
            : Shuffled(places.GroupBy(i => labels[i]).SelectMany(label => label.Take(count.PerLabel!.Value)), ref random);
    }

    private static List<int> Shuffled(IEnumerable<int> places, ref RandomStream random)
    {
        var mixed = places.ToList();
        for (var left = mixed.Count; left > 1; left--)
        {
            var other = random.Next(left);
            (mixed[left - 1], mixed[other]) = (mixed[other], mixed[left - 1]);
        }
        return mixed;
    }
}
