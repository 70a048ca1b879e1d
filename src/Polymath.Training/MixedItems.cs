using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training;

/// <summary>
/// Items of several sources in declared shares. Each source is read in orders of its own, as often as its share asks; an epoch
/// reads as many items as there are, and each source's part of it is exact.
/// </summary>
public sealed class MixedItems : ItemSource
{
    private readonly long seed;
    private readonly string purpose;
    private readonly List<Part> parts = [];
    private Permutation order;
    private long epoch = -1;

    /// <summary>A mix.</summary>
    /// <param name="items">The items; each says its source.</param>
    /// <param name="shares">The sources' weights; 1 for one that is not named.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="purpose">The owner of the order: the stage's name.</param>
    public MixedItems(IReadOnlyList<Item> items, IReadOnlyDictionary<string, double> shares, long seed, string purpose)
    {
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(shares);
        (this.seed, this.purpose) = (seed, purpose);
        var sources = items.GroupBy(item => item.Rows[0].Data ?? "", StringComparer.Ordinal).ToList();
        double Weight(string name) => shares.TryGetValue(name, out var weight) ? weight : 1;
        var sum = sources.Sum(source => Weight(source.Key));
        foreach (var source in sources)
        {
            var count = (int)Math.Max(1, Math.Round(items.Count * Weight(source.Key) / sum));
            parts.Add(new Part(source.Key, [.. source], count, Count));
            Count += count;
        }
        Tokens = parts.Sum(part => part.Items.Sum(item => (long)item.Tokens) * part.Count / part.Items.Count);
    }

    /// <inheritdoc/>
    public override int Count { get; }

    /// <inheritdoc/>
    public override long? Tokens { get; }

    /// <inheritdoc/>
    protected override Item At(Cursor cursor)
    {
        if (epoch != cursor.Epoch) (order, epoch) = (new Permutation(Count, seed, purpose, cursor.Epoch), cursor.Epoch);
        var place = order[cursor.Place];
        var part = parts.FindLast(part => part.First <= place)!;
        // The number of items that were read of the source before this one, over all epochs.
        var read = cursor.Epoch * part.Count + (place - part.First);
        var (pass, at) = Math.DivRem(read, part.Items.Count);
        return part.Items[new Permutation(part.Items.Count, seed, $"{purpose} {part.Name}", pass)[(int)at]];
    }

    // A source: how many of its items an epoch reads, and the first of the epoch's places that are its own.
    private sealed record Part(string Name, List<Item> Items, int Count, int First);
}
