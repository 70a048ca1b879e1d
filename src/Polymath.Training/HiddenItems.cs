using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training;

/// <summary>
/// Items whose words are hidden anew in each pass. What is hidden depends on the run's seed, the stage, the pass and the place alone, so a
/// resumed run hides the same words, however rows are packed.
/// </summary>
/// <param name="items">The items, whole.</param>
/// <param name="hide">Hides words of a row by a stream.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="purpose">The name that seeds the choice: the visit's name.</param>
public sealed class HiddenItems(
    ItemSource items,
    Func<TokenRow, RandomStream, TokenRow> hide,
    long seed,
    string purpose) : ItemSource
{
    /// <inheritdoc/>
    public override int Count => items.Count;

    /// <inheritdoc/>
    public override long? Tokens => items.Tokens;

    /// <inheritdoc/>
    protected override Item At(Cursor cursor)
    {
        items.Cursor = cursor;
        var item = items.Take(int.MaxValue, 1)[0];
        return Hidden(item, new RandomStream(seed, $"hidden words of {purpose}", cursor.Epoch, cursor.Place));
    }

    /// <summary>Items that are only measured: their hidden words stay the same.</summary>
    /// <param name="items">The items.</param>
    /// <param name="hide">Hides words of a row by a stream.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="stage">The stage.</param>
    public static IReadOnlyList<Item> Fixed(
        IReadOnlyList<Item> items,
        Func<TokenRow, RandomStream, TokenRow> hide,
        long seed,
        string stage)
    {
        ArgumentNullException.ThrowIfNull(items);
        var hidden = new List<Item>();
        for (var i = 0; i < items.Count; i++)
        {
            var stream = new RandomStream(seed, $"hidden words held out of {stage}", i);
            hidden.Add(new Item([.. items[i].Rows.Select(row => hide(row, stream))]));
        }
        return hidden;
    }

    private Item Hidden(Item item, RandomStream stream) => new([.. item.Rows.Select(row => hide(row, stream))]);
}
