using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>Keys and values of tokens that were read already, for each layer and each of several rows (slots), so that generating reads each token once.</summary>
public sealed class KeyValueCache : IDisposable
{
    readonly Tensor[] keys, values;
    readonly int[] lengths;

    /// <summary>An empty cache.</summary>
    /// <param name="layers">The model's layers.</param>
    /// <param name="slots">The rows it holds.</param>
    /// <param name="keyValueHeads">The model's key and value heads.</param>
    /// <param name="capacity">The most tokens of a row.</param>
    /// <param name="headWidth">The width of a head.</param>
    public KeyValueCache(int layers, int slots, int keyValueHeads, int capacity, int headWidth)
    {
        Tensor[] Planes() => [.. Enumerable.Range(0, layers).Select(_ => empty(slots, keyValueHeads, capacity, headWidth).DetachFromDisposeScope())];
        (keys, values, lengths, Capacity) = (Planes(), Planes(), new int[slots], capacity);
    }

    /// <summary>The most tokens of a row.</summary>
    public int Capacity { get; }

    /// <summary>The tokens each slot holds.</summary>
    public IReadOnlyList<int> Lengths => lengths;

    /// <summary>Attention of a batch's queries over what its rows' slots hold, the batch's own keys and values added first.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    /// <param name="scale">The scale of the scores.</param>
    internal Tensor Attend(int layer, Batch batch, Tensor query, Tensor key, Tensor value, double scale)
    {
        int[] slots = new int[batch.Tokens], seen = new int[batch.Tokens];
        for (var r = 0; r < batch.Rows; r++)
            for (var t = batch.Offsets[r]; t < batch.Offsets[r + 1]; t++)
            {
                slots[t] = batch.Slots![r];
                seen[t] = batch.Positions[t] + 1;
            }
        CachedAttention.Store(keys[layer], key, slots, batch.Positions);
        CachedAttention.Store(values[layer], value, slots, batch.Positions);
        // Rows that start from nothing need no cache to read from: the kernel that shares its work over a row's tokens is the faster one.
        return Array.TrueForAll(batch.Offsets[..^1], first => batch.Positions[first] == 0)
            ? RaggedAttention.Of(query, key, value, batch.Offsets, scale)
            : CachedAttention.Of(query, keys[layer], values[layer], slots, seen, scale);
    }

    /// <summary>Notes that a batch has gone through all layers.</summary>
    /// <param name="batch">The batch.</param>
    public void Advance(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        for (var r = 0; r < batch.Rows; r++) lengths[batch.Slots![r]] = batch.Positions[batch.Offsets[r + 1] - 1] + 1;
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        foreach (var plane in keys.Concat(values)) plane.Dispose();
    }
}
