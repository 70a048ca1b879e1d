using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Attention of new tokens over cached keys and values, for generation. No gradient.</summary>
public static unsafe class CachedAttention
{
    // A second thread is worth using only when it reads at least this much of the cache.
    private const int GrainElements = 2048;

    internal struct State
    {
        internal float* Query, Keys, Values, Bias, Out;
        internal int* Slots, First, Last, Places, Origins, Shared, Bundles;
        internal int Heads, KeyHeads, Width, Capacity, Longest, Distances, Zero;
        internal float Scale, Cap;

        /// <summary>Whether a token and the one before it share the beginning of their slots.</summary>
        internal readonly bool Together(int token) =>
            Shared != null && Shared[token] > 0 && Origins[token] == Origins[token - 1] && Shared[token] == Shared[token - 1];
    }

    /// <summary>Token t reads the first lengths[t] places of the slot slots[t].</summary>
    public static Tensor Of(
        Tensor query,
        Tensor keys,
        Tensor values,
        int[] slots,
        int[] lengths,
        double scale)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        return Of(
            query,
            keys,
            values,
            new CachedReach(slots, new int[lengths.Length], lengths, Array.ConvertAll(lengths, length => length - 1)),
            new AttentionForm(scale));
    }

    /// <summary>
    /// Attention of query [tokens, heads, D] over keys and values [slots, keyValueHeads, capacity, D]. The kernel handles 32-bit floats on
    /// the CPU; everything else uses libtorch's operations.
    /// </summary>
    /// <param name="query">The queries.</param>
    /// <param name="keys">The keys.</param>
    /// <param name="values">The values.</param>
    /// <param name="reach">The places that each token reads.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    public static Tensor Of(
        Tensor query,
        Tensor keys,
        Tensor values,
        CachedReach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        reach.Check(bias);
        if (!FastPath.Takes(query, keys, values) || (bias is not null && !FastPath.Takes(bias.Table)))
            return Plain(
                query,
                keys,
                values,
                reach,
                form,
                bias);
        var result = empty_like(query);
        fixed (int* slots = reach.Slots, first = reach.First, last = reach.Last, places = reach.Places)
        fixed (int* origins = reach.Origins, shared = reach.Shared)
        {
            var state = new State
            {
                Query = (float*)LibTorch.Data(query),
                Keys = (float*)LibTorch.Data(keys),
                Values = (float*)LibTorch.Data(values),
                Bias = bias is null ? null : (float*)LibTorch.Data(bias.Table),
                Out = (float*)LibTorch.Data(result),
                Slots = slots,
                First = first,
                Last = last,
                Places = places,
                Origins = origins,
                Shared = shared,
                Heads = (int)query.size(1),
                KeyHeads = (int)keys.size(1),
                Width = (int)query.size(2),
                Capacity = (int)keys.size(2),
                Longest = reach.Last.Length == 0 ? 0 : reach.Last.Max(),
                Distances = (int)(bias?.Table.size(1) ?? 0),
                Zero = bias?.Zero ?? 0,
                Scale = (float)form.Scale,
                Cap = (float)form.SoftCap,
            };
            Run((int)query.size(0), ref state);
        }
        GC.KeepAlive(query);
        GC.KeepAlive(keys);
        GC.KeepAlive(values);
        GC.KeepAlive(bias);
        return result;
    }

    /// <summary>
    /// Writes fresh [tokens, keyValueHeads, D] to a cache [slots, keyValueHeads, capacity, D]: token t goes to place places[t] of slot
    /// slots[t].
    /// </summary>
    public static void Store(Tensor cache, Tensor fresh, int[] slots, int[] places)
    {
        ArgumentNullException.ThrowIfNull(cache);
        ArgumentNullException.ThrowIfNull(fresh);
        ArgumentNullException.ThrowIfNull(slots);
        ArgumentNullException.ThrowIfNull(places);
        if (!FastPath.Takes(cache, fresh))
        {
            for (var t = 0; t < slots.Length; t++) cache[slots[t]].select(1, places[t]).copy_(fresh[t]);
            return;
        }
        float* from = (float*)LibTorch.Data(fresh), to = (float*)LibTorch.Data(cache);
        long heads = cache.size(1), capacity = cache.size(2), width = cache.size(3);
        for (var t = 0; t < slots.Length; t++)
            for (long head = 0; head < heads; head++)
                new ReadOnlySpan<float>(from + (t * heads + head) * width, (int)width)
                    .CopyTo(new Span<float>(to + ((slots[t] * heads + head) * capacity + places[t]) * width, (int)width));
        GC.KeepAlive(fresh);
        GC.KeepAlive(cache);
    }

    /// <summary>The same in libtorch's operations, token by token.</summary>
    public static Tensor Plain(
        Tensor query,
        Tensor keys,
        Tensor values,
        int[] slots,
        int[] lengths,
        double scale)
    {
        ArgumentNullException.ThrowIfNull(lengths);
        return Plain(
            query,
            keys,
            values,
            new CachedReach(slots, new int[lengths.Length], lengths, Array.ConvertAll(lengths, length => length - 1)),
            new AttentionForm(scale));
    }

    /// <summary>The same in libtorch's operations, token by token.</summary>
    /// <param name="query">The queries.</param>
    /// <param name="keys">The keys.</param>
    /// <param name="values">The values.</param>
    /// <param name="reach">The places that each token reads.</param>
    /// <param name="form">How scores become weights.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    public static Tensor Plain(
        Tensor query,
        Tensor keys,
        Tensor values,
        CachedReach reach,
        AttentionForm form,
        DistanceBias? bias = null)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(keys);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(reach);
        ArgumentNullException.ThrowIfNull(form);
        var group = query.size(1) / keys.size(1);
        var rows = new Tensor[reach.Slots.Length];
        for (var t = 0; t < rows.Length; t++)
        {
            int first = reach.First[t], count = reach.Last[t] - first;
            int slot = reach.Slots[t], shared = Math.Clamp((reach.Shared?[t] ?? 0) - first, 0, count);
            Tensor Whole(Tensor kept) => shared == 0
                ? kept[slot].narrow(1, first, count)
                : cat([kept[reach.Origins![t]].narrow(1, first, shared), kept[slot].narrow(1, first + shared, count - shared)], 1);
            Tensor Seen(Tensor kept) => Whole(kept).repeat_interleave(group, 0);
            var scores = query[t].unsqueeze(1).bmm(Seen(keys).transpose(1, 2)) * form.Scale;     // [heads, 1, keys]
            if (form.SoftCap > 0) scores = (scores / form.SoftCap).tanh() * form.SoftCap;
            if (bias is not null) scores += bias.Table.narrow(1, bias.Zero + first - reach.Places[t], count).unsqueeze(1);
            rows[t] = scores.softmax(-1).bmm(Seen(values)).squeeze(1);
        }
        return stack(rows, 0);
    }

    /// <summary>All heads of all tokens.</summary>
    internal static void Run(int tokens, ref State state)
    {
        // Tokens whose slots share a beginning read it together.
        var bundles = stackalloc int[tokens + 1];
        var count = 0;
        for (var t = 0; t < tokens; t++)
            if (t == 0 || !state.Together(t) || t - bundles[count - 1] == CachedLoops.MostTokens) bundles[count++] = t;
        bundles[count] = tokens;
        state.Bundles = bundles;
        fixed (State* s = &state)
            Team.For(
                (long)count * state.KeyHeads,
                Math.Max(1, GrainElements / Math.Max(1L, (long)state.Longest * state.Width)),
                &CachedLoops.Items,
                s,
                least: 2);
    }
}

/// <summary>
/// The part of a cache that new tokens read: token t, at place Places[t] of its row, reads the places First[t] to Last[t] (exclusive) of
/// the slot Slots[t].
/// </summary>
/// <param name="Slots">The slots.</param>
/// <param name="First">The first places.</param>
/// <param name="Last">The places after the last.</param>
/// <param name="Places">The tokens' own places.</param>
public sealed record CachedReach(int[] Slots, int[] First, int[] Last, int[] Places)
{
    /// <summary>For each token, the slot that holds the first places of its row; null when each slot holds its own.</summary>
    public int[]? Origins { get; init; }

    /// <summary>For each token, how many places it reads from that slot instead of its own.</summary>
    public int[]? Shared { get; init; }

    /// <summary>Throws when a distance has no column in a table.</summary>
    internal void Check(DistanceBias? bias)
    {
        if (bias is null) return;
        for (var t = 0; t < Slots.Length; t++)
            if (bias.Zero + First[t] - Places[t] < 0 || bias.Zero + Last[t] - 1 - Places[t] >= bias.Table.size(1))
                throw new ArgumentException(
                    $"The table of {bias.Table.size(1)} distances around {bias.Zero} does not reach from {First[t] - Places[t]} to "
                        + $"{Last[t] - 1 - Places[t]}.",
                    nameof(bias));
    }
}
