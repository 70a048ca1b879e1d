using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Rows of tokens laid end to end, without padding: the only border from ints to tensors. Targets are shifted here, once: the state at place p foretells the token at p + 1.
/// </summary>
public sealed class Batch : IDisposable
{
    readonly DisposeScopeGuard tensors = new();

    Batch(int[] ids, int[] offsets, int[] positions)
    {
        (Offsets, Positions) = (offsets, positions);
        Ids = tensors.Keep(tensor(Array.ConvertAll(ids, id => (long)id)));
    }

    /// <summary>Row r is the tokens Offsets[r] to Offsets[r + 1].</summary>
    public int[] Offsets { get; }

    /// <summary>Each token's position in its row.</summary>
    public int[] Positions { get; }

    /// <summary>The tokens [tokens], 64-bit.</summary>
    public Tensor Ids { get; }

    /// <summary>The number of rows.</summary>
    public int Rows => Offsets.Length - 1;

    /// <summary>The number of tokens.</summary>
    public int Tokens => Positions.Length;

    /// <summary>For generating: the cache slot of each row; null when there is no cache.</summary>
    public int[]? Slots { get; private init; }

    /// <summary>The places whose next token is a target [targets], 64-bit.</summary>
    public Tensor Places { get; private set; } = null!;

    /// <summary>The targets [targets], 64-bit.</summary>
    public Tensor Targets { get; private set; } = null!;

    /// <summary>The targets' weights in the loss [targets].</summary>
    public Tensor Weights { get; private set; } = null!;

    /// <summary>Σ of the targets' weights: what a summed loss is divided by.</summary>
    public double TargetCount { get; private set; }

    /// <summary>For each target, the row it stands in.</summary>
    public int[] TargetRows { get; private set; } = [];

    /// <summary>A batch for training or scoring.</summary>
    /// <param name="rows">The rows, none of them empty.</param>
    public static Batch Of(IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var batch = Lay(rows.Select(row => row.Ids).ToList(), null, null);
        List<long> places = [], targets = [];
        List<float> weights = [];
        List<int> owners = [];
        for (var r = 0; r < rows.Count; r++)
            for (var i = 1; i < rows[r].Length; i++)
            {
                if (rows[r].Learn[i] == 0) continue;
                places.Add(batch.Offsets[r] + i - 1);
                targets.Add(rows[r].Ids[i]);
                weights.Add(rows[r].Learn[i]);
                owners.Add(r);
            }
        batch.Places = batch.tensors.Keep(tensor(places.ToArray()));
        batch.Targets = batch.tensors.Keep(tensor(targets.ToArray()));
        batch.Weights = batch.tensors.Keep(tensor(weights.ToArray()));
        batch.TargetRows = [.. owners];
        batch.TargetCount = weights.Sum(weight => (double)weight);
        return batch;
    }

    /// <summary>A batch for generating: each row goes on where its slot of the cache ends.</summary>
    /// <param name="rows">The new tokens of each row, none of them empty.</param>
    /// <param name="slots">The cache slot of each row.</param>
    /// <param name="starts">The tokens each slot holds already.</param>
    public static Batch Continue(IReadOnlyList<int[]> rows, int[] slots, int[] starts) => Lay(rows, slots, starts);

    /// <summary>The places of the rows' last tokens [rows], 64-bit.</summary>
    public Tensor LastPlaces() => tensor(Offsets.Skip(1).Select(offset => (long)offset - 1).ToArray());

    static Batch Lay(IReadOnlyList<int[]> rows, int[]? slots, int[]? starts)
    {
        var offsets = new int[rows.Count + 1];
        for (var r = 0; r < rows.Count; r++)
        {
            if (rows[r].Length == 0) throw new ArgumentException($"Row {r} has no tokens.", nameof(rows));
            offsets[r + 1] = offsets[r] + rows[r].Length;
        }
        int[] ids = new int[offsets[^1]], positions = new int[offsets[^1]];
        for (var r = 0; r < rows.Count; r++)
            for (var i = 0; i < rows[r].Length; i++)
            {
                ids[offsets[r] + i] = rows[r][i];
                positions[offsets[r] + i] = (starts?[r] ?? 0) + i;
            }
        return new Batch(ids, offsets, positions) { Slots = slots };
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose() => tensors.Dispose();

    // The batch's tensors belong to the batch, whatever scope it was made in.
    sealed class DisposeScopeGuard : IDisposable
    {
        readonly List<Tensor> kept = [];

        internal Tensor Keep(Tensor tensor)
        {
            kept.Add(tensor.DetachFromDisposeScope());
            return tensor;
        }

        public void Dispose() => kept.ForEach(tensor => tensor.Dispose());
    }
}
