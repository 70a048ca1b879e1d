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

    /// <summary>
    /// For a row with masked words, what stands at each place and is learned there, or −100 where nothing is; <see cref="Learn"/> does
    /// not count then. Null for a row whose next tokens are learned.
    /// </summary>
    public int[]? Hidden { get; init; }

    /// <summary>The row behind further tokens, which are not learned; its answer's place counts from its own first token.</summary>
    /// <param name="first">The tokens.</param>
    /// <param name="skipped">How many of its own first tokens nothing can foretell, so that they are not learned as next tokens.</param>
    public TokenRow Behind(int[] first, int skipped)
    {
        ArgumentNullException.ThrowIfNull(first);
        return new TokenRow([.. first, .. Ids], [.. new float[first.Length + skipped], .. Learn[skipped..]], Source, Data)
        {
            Hidden = Hidden is { } hidden ? [.. first.Select(_ => -100), .. hidden] : null,
        };
    }

    /// <summary>The number of tokens.</summary>
    public int Length => Ids.Length;

    /// <summary>The number of targets.</summary>
    public int Targets
    {
        get
        {
            if (Hidden is { } hidden) return hidden.Count(id => id >= 0);
            var count = 0;
            for (var i = 1; i < Learn.Length; i++)
                if (Learn[i] != 0) count++;
            return count;
        }
    }
}
