using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Text.Packing;

namespace Polymath.Training.Objectives;

/// <summary>Puts items whose rows begin alike next to each other, so that a pass reads their prompt once.</summary>
internal static class SharedItems
{
    /// <summary>The items in the order of the prompts' first ones; those of one prompt keep their order.</summary>
    /// <param name="items">The items.</param>
    internal static IReadOnlyList<Item> Grouped(IReadOnlyList<Item> items) => [.. Groups(items).SelectMany(group => group)];

    /// <summary>The items of each prompt, in the order of the prompts' first ones.</summary>
    /// <param name="items">The items.</param>
    internal static IReadOnlyList<IReadOnlyList<Item>> Groups(IReadOnlyList<Item> items) =>
        [.. items.GroupBy(item => Prompt(item.Rows[0]), new EqualTokens()).Select(group => (IReadOnlyList<Item>)[.. group])];

    // What comes before the first learned token.
    private static int[] Prompt(TokenRow row) => row.Ids[..Math.Max(0, Array.FindIndex(row.Learn, weight => weight != 0))];

    /// <summary>The items in order, as many to a pass as fit; a beginning that rows share counts once.</summary>
    /// <param name="items">The items.</param>
    /// <param name="limit">The most tokens of a pass.</param>
    /// <param name="most">The most items of a pass.</param>
    internal static IEnumerable<List<Item>> Chunks(IReadOnlyList<Item> items, long limit, int most)
    {
        var part = new List<Item>();
        var taken = 0L;
        foreach (var item in items)
        {
            var size = Size(part.LastOrDefault(), item);
            if (part.Count >= most || (part.Count > 0 && taken + size > limit))
            {
                yield return part;
                (part, taken, size) = ([], 0, Size(null, item));
            }
            part.Add(item);
            taken += size;
        }
        if (part.Count > 0) yield return part;
    }

    private static long Size(Item? before, Item item)
    {
        var (size, last) = (0L, before?.Rows[^1]);
        foreach (var row in item.Rows)
        {
            size += row.Length - (last is { } known ? Batch.CommonBeginning(known.Ids, row.Ids) : 0);
            last = row;
        }
        return size;
    }
}
