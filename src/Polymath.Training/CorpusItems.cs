using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training;

/// <summary>Items of a fixed data set, in a different order in each pass.</summary>
/// <param name="items">The items.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="purpose">The name that seeds the order: the stage's name.</param>
public sealed class CorpusItems(IReadOnlyList<Item> items, long seed, string purpose) : ItemSource
{
    private Permutation order;
    private long epoch = -1;

    /// <inheritdoc/>
    public override int Count => items.Count;

    /// <inheritdoc/>
    public override long? Tokens { get; } = items.Sum(item => (long)item.Tokens);

    /// <inheritdoc/>
    protected override Item At(Cursor cursor)
    {
        if (epoch != cursor.Epoch) (order, epoch) = (new Permutation(items.Count, seed, purpose, cursor.Epoch), cursor.Epoch);
        return items[order[cursor.Place]];
    }
}
