namespace Polymath.Text.Packing;

/// <summary>
/// A row of tokens and how much each is learned as a target. The first token is never a target, because no token comes before it.
/// </summary>
/// <param name="Ids">The tokens.</param>
/// <param name="Learn">For each token its weight in the loss; 0 for context.</param>
/// <param name="Source">The row's origin, for messages: the key of its example.</param>
/// <param name="Data">The name of its source, by which rows are routed to adapters; null when it is not needed.</param>
public readonly record struct TokenRow(int[] Ids, float[] Learn, string Source, string? Data = null)
{
    /// <summary>The places of the tokens where a prompt's answers are read, one for each mask; null for the last one alone.</summary>
    public IReadOnlyList<int>? Answers { get; init; }

    /// <summary>The number of tokens.</summary>
    public int Length => Ids.Length;

    /// <summary>The number of targets.</summary>
    public int Targets
    {
        get
        {
            var count = 0;
            for (var i = 1; i < Learn.Length; i++)
                if (Learn[i] != 0) count++;
            return count;
        }
    }
}
