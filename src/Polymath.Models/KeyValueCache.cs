using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Keys and values of earlier tokens, for each layer and each of several rows (slots), so that generation reads each token only once.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly Tensor[] keys, values;
    private readonly int[] lengths, readers;

    // For each slot, the slot that holds its first places, and how many; its own holds the rest.
    private readonly int[] origins, sharedLengths;

    /// <summary>An empty cache.</summary>
    /// <param name="layers">The model's layers; twice as many when each layer reads a source, too.</param>
    /// <param name="slots">The rows it holds.</param>
    /// <param name="keyValueHeads">The model's key and value heads.</param>
    /// <param name="capacity">The most tokens of a row.</param>
    /// <param name="headWidth">The width of a head.</param>
    public KeyValueCache(
        int layers,
        int slots,
        int keyValueHeads,
        int capacity,
        int headWidth)
        : this([.. Enumerable.Repeat((keyValueHeads, headWidth), layers)], slots, capacity)
    {
    }

    /// <summary>An empty cache of a model whose layers differ.</summary>
    /// <param name="layers">The heads of each layer and their width; a layer without keys has none.</param>
    /// <param name="slots">The rows it holds.</param>
    /// <param name="capacity">The most tokens of a row.</param>
    public KeyValueCache(IReadOnlyList<(int Heads, int Width)> layers, int slots, int capacity)
    {
        Tensor[] Planes() => [.. layers.Select(layer => empty(slots, layer.Heads, capacity, layer.Width).DetachFromDisposeScope())];
        (keys, values, lengths, Prefixes, Holes, Capacity) = (Planes(), Planes(), new int[slots], new int[slots], new int[slots], capacity);
        (origins, sharedLengths, readers) = ([.. Enumerable.Range(0, slots)], new int[slots], new int[slots]);
    }

    /// <summary>The most tokens of a row.</summary>
    public int Capacity { get; }

    /// <summary>The number of tokens in each slot.</summary>
    public IReadOnlyList<int> Lengths => lengths;

    /// <summary>
    /// For each slot, the length of the separate part at its start: a prefix that is read in both directions, or an encoder's source.
    /// </summary>
    public int[] Prefixes { get; }

    /// <summary>For each slot, the place in the prompt that its answer fills (ChatGLM).</summary>
    public int[] Holes { get; }

    /// <summary>How many other slots read what a slot holds.</summary>
    /// <param name="slot">The slot.</param>
    internal int ReadersOf(int slot) => readers[slot];

    /// <summary>Lets an empty slot begin with all that another one holds now, without a copy.</summary>
    /// <param name="from">The slot that holds it; it is kept until its last reader is cleared.</param>
    /// <param name="to">The empty slot.</param>
    internal void Share(int from, int to)
    {
        if (origins[from] != from || lengths[to] != 0) throw new InvalidOperationException($"Slot {to} cannot begin with slot {from}.");
        (origins[to], sharedLengths[to], lengths[to]) = (from, lengths[from], lengths[from]);
        (Prefixes[to], Holes[to]) = (Prefixes[from], Holes[from]);
        readers[from]++;
        foreach (var (key, state) in states.Where(pair => pair.Key.Slot == from).ToList())
            states[(key.Name, to)] = state.clone().DetachFromDisposeScope();
    }

    /// <summary>Empties a slot. What others read of it stays until they are emptied.</summary>
    /// <param name="slot">The slot.</param>
    internal void Clear(int slot)
    {
        if (origins[slot] != slot) readers[origins[slot]]--;
        (origins[slot], sharedLengths[slot], lengths[slot]) = (slot, 0, 0);
        foreach (var key in states.Keys.Where(key => key.Slot == slot).ToList())
        {
            states[key].Dispose();
            states.Remove(key);
        }
    }

    /// <summary>Attention of a batch's queries over its rows' slots, after the batch's own keys and values are added.</summary>
    /// <param name="place">The layer's properties.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    /// <param name="fresh">The tokens that rows with empty slots see of themselves; null for the earlier tokens.</param>
    /// <param name="bias">A bias by distance, or null.</param>
    internal Tensor Attend(
        AttentionPlace place,
        Batch batch,
        Tensor query,
        Tensor key,
        Tensor value,
        Reach? fresh = null,
        DistanceBias? bias = null)
    {
        var (layer, form) = (place.Layer, place.Form);
        Put(layer, batch, key, value);
        // Rows with empty slots do not read the cache, and the kernel that splits its work over a row's tokens is faster for them.
        if (batch.StartsFresh)
            return RaggedAttention.Of(
                query,
                key,
                value,
                fresh ?? batch.Causal(place.Window, place.Chunk),
                form,
                bias);
        return CachedAttention.Of(
            query,
            keys[layer],
            values[layer],
            Reaches(batch, SlotsOf(batch), place),
            form,
            bias);
    }

    /// <summary>Adds a batch's keys and values to their slots.</summary>
    /// <param name="plane">The layer.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="key">[tokens, keyValueHeads, D].</param>
    /// <param name="value">[tokens, keyValueHeads, D].</param>
    internal void Put(int plane, Batch batch, Tensor key, Tensor value)
    {
        Holds(batch);
        var of = SlotsOf(batch);
        CachedAttention.Store(keys[plane], key, of, batch.Positions);
        CachedAttention.Store(values[plane], value, of, batch.Positions);
    }

    /// <summary>A row's keys and values up to its last token, each [places, keyValueHeads, D].</summary>
    /// <param name="plane">The layer.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="row">The row.</param>
    internal (Tensor Keys, Tensor Values) Row(int plane, Batch batch, int row)
    {
        var count = batch.Positions[batch.Offsets[row + 1] - 1] + 1;
        var slot = batch.Slots![row];
        var shared = Math.Min(sharedLengths[slot], count);
        Tensor Of(Tensor of)
        {
            var own = of.select(0, slot).narrow(1, shared, count - shared);
            return (shared == 0 ? own : cat([of.select(0, origins[slot]).narrow(1, 0, shared), own], 1)).transpose(0, 1);
        }
        return (Of(keys[plane]), Of(values[plane]));
    }

    // What layers that read token by token (state spaces, linear attention) carry from one token to the next, for each slot.
    private readonly Dictionary<(string Name, int Slot), Tensor> states = [];

    /// <summary>The state that a layer left in a slot; null for a fresh row.</summary>
    /// <param name="name">The layer's name of the state.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="row">The row.</param>
    internal Tensor? State(string name, Batch batch, int row) =>
        batch.Positions[batch.Offsets[row]] > 0 && states.TryGetValue((name, batch.Slots![row]), out var state) ? state : null;

    /// <summary>Leaves a state in a slot.</summary>
    /// <param name="name">The layer's name of the state.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="row">The row.</param>
    /// <param name="state">The state; the cache owns it from here on.</param>
    internal void Leave(string name, Batch batch, int row, Tensor state)
    {
        var key = (name, batch.Slots![row]);
        var kept = state.detach().clone().DetachFromDisposeScope();
        if (states.Remove(key, out var old)) old.Dispose();
        states[key] = kept;
    }

    private void ReorderStates(int[] from)
    {
        var moved = new Dictionary<(string Name, int Slot), Tensor>();
        for (var slot = 0; slot < from.Length; slot++)
            foreach (var (key, state) in states)
                if (key.Slot == from[slot]) moved[(key.Name, slot)] = state.clone().DetachFromDisposeScope();
        foreach (var state in states.Values) state.Dispose();
        states.Clear();
        foreach (var (key, state) in moved) states[key] = state;
    }

    /// <summary>Runs the residual stream of continuing tokens through a whole block, in place.</summary>
    /// <param name="place">The layer.</param>
    /// <param name="batch">The batch; it has slots.</param>
    /// <param name="turns">The rotary angles.</param>
    /// <param name="x">[tokens, hidden].</param>
    /// <param name="weights">The block's weights.</param>
    internal void Step(
        AttentionPlace place,
        Batch batch,
        RotaryAngles turns,
        Tensor x,
        BlockWeights weights)
    {
        Holds(batch);
        BlockStep.Run(
            x,
            weights,
            turns.Cosine,
            turns.Sine,
            turns.Interleaved,
            keys[place.Layer],
            values[place.Layer],
            Reaches(batch, SlotsOf(batch), place),
            place.Form);
    }

    // The kernel copies without bounds checks: a place beyond the end would overwrite other memory.
    private void Holds(Batch batch)
    {
        var last = batch.Positions.Length == 0 ? 0 : batch.Positions.Max();
        if (last >= Capacity)
            throw new InvalidOperationException($"The cache holds {Capacity} tokens of a row but got one at place {last}.");
    }

    private CachedReach Reaches(Batch batch, int[] slots, AttentionPlace layer)
    {
        int First(int place)
        {
            if (layer.Chunk > 0) return place - place % layer.Chunk;
            return layer.Window > 0 ? Math.Max(0, place + 1 - layer.Window) : 0;
        }
        var first = Array.ConvertAll(batch.Positions, First);
        return new CachedReach(slots, first, Array.ConvertAll(batch.Positions, place => place + 1), batch.Positions)
        {
            Origins = Array.ConvertAll(slots, slot => origins[slot]), Shared = Array.ConvertAll(slots, slot => sharedLengths[slot]),
        };
    }

    /// <summary>Stores the keys and values that a decoder's layer computes from an encoder's states.</summary>
    /// <param name="plane">The plane that stores them.</param>
    /// <param name="batch">The decoder's batch; it has slots and a source.</param>
    /// <param name="key">[source tokens, heads, D].</param>
    /// <param name="value">[source tokens, heads, D].</param>
    internal void StoreSource(int plane, Batch batch, Tensor key, Tensor value)
    {
        var source = batch.Source!;
        Holds(source);
        var of = new int[source.Tokens];
        for (var r = 0; r < source.Rows; r++)
        {
            of.AsSpan(source.Offsets[r]..source.Offsets[r + 1]).Fill(batch.Slots![r]);
            Prefixes[batch.Slots[r]] = source.Offsets[r + 1] - source.Offsets[r];
        }
        CachedAttention.Store(keys[plane], key, of, source.Positions);
        CachedAttention.Store(values[plane], value, of, source.Positions);
    }

    /// <summary>Attention of a batch's queries over their slots' sources.</summary>
    /// <param name="plane">The plane that stores the sources.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="query">[tokens, heads, D].</param>
    /// <param name="form">How scores become weights.</param>
    internal Tensor ReadSource(int plane, Batch batch, Tensor query, AttentionForm form)
    {
        var of = Array.ConvertAll(SlotsOf(batch), slot => origins[slot]);
        return CachedAttention.Of(
            query,
            keys[plane],
            values[plane],
            new CachedReach(of, new int[of.Length], Array.ConvertAll(of, slot => Prefixes[slot]), batch.Positions),
            form);
    }

    private static int[] SlotsOf(Batch batch)
    {
        var of = new int[batch.Tokens];
        for (var r = 0; r < batch.Rows; r++) of.AsSpan(batch.Offsets[r]..batch.Offsets[r + 1]).Fill(batch.Slots![r]);
        return of;
    }

    /// <summary>Copies the content of slot <paramref name="from"/>[i] to slot i.</summary>
    /// <param name="from">The slot that each slot is copied from.</param>
    public void Reorder(int[] from)
    {
        ArgumentNullException.ThrowIfNull(from);
        if (sharedLengths.Any(length => length > 0)) throw new InvalidOperationException("Slots that share places cannot be reordered.");
        if (from.Where((slot, i) => slot != i).Any())
        {
            using var index = TorchSharp.torch.tensor(Array.ConvertAll(from, slot => (long)slot), device: keys[0].device);
            foreach (var planes in new[] { keys, values })
                for (var layer = 0; layer < planes.Length; layer++)
                {
                    var moved = planes[layer].index_select(0, index).DetachFromDisposeScope();
                    planes[layer].Dispose();
                    planes[layer] = moved;
                }
            ReorderStates(from);
        }
        foreach (var marks in new[] { lengths, Prefixes, Holes }) Array.ConvertAll(from, slot => marks[slot]).CopyTo(marks, 0);
    }

    /// <summary>Records that a batch has gone through all layers.</summary>
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
        foreach (var state in states.Values) state.Dispose();
    }
}
