using Polymath.Tensors.Kernels;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// Rows of tokens, packed end to end without padding. Only this class turns token ids into tensors. Targets are shifted here, once: the
/// state at place p predicts the token at p + 1.
/// </summary>
public sealed class Batch : IDisposable
{
    private readonly DisposeScopeGuard tensors = new();
    private readonly Dictionary<(int Window, int Chunk), Reach> causal = [];
    private readonly SharedRows? shared;
    private Reach? whole;

    private Batch(
        int[] ids,
        int[] offsets,
        int[] positions,
        SharedRows? shared = null)
    {
        (TokenIds, Offsets, Positions, this.shared) = (ids, offsets, positions, shared);
        Ids = tensors.Keep(tensor(Array.ConvertAll(ids, id => (long)id)));
    }

    /// <summary>The tokens.</summary>
    public int[] TokenIds { get; }

    /// <summary>For an encoder, the text (of two) that each token belongs to; null means the first.</summary>
    public int[]? TokenTypes { get; init; }

    /// <summary>
    /// For an encoder-decoder, the encoder's rows, as many as the decoder's; null when the encoder has already read them.
    /// </summary>
    public Batch? Source { get; private init; }

    /// <summary>Row r is the tokens Offsets[r] to Offsets[r + 1].</summary>
    public int[] Offsets { get; }

    /// <summary>Each token's position in its row.</summary>
    public int[] Positions { get; }

    /// <summary>The tokens [tokens], 64-bit.</summary>
    public Tensor Ids { get; }

    /// <summary>The prompt whose keys and values replace those of the batch's virtual tokens, or null.</summary>
    public SoftPrompt? Prompt { get; private set; }

    /// <summary>The places of the virtual tokens [rows·length], 64-bit.</summary>
    public Tensor? VirtualPlaces { get; private set; }

    /// <summary>Sets the prompt whose virtual tokens the rows begin with.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="vocabulary">The number of the first virtual token.</param>
    internal Batch With(SoftPrompt prompt, int vocabulary)
    {
        if (!prompt.GivesKeysAndValues) return this;
        Prompt = prompt;
        VirtualPlaces = tensors.Keep(
            tensor(Enumerable.Range(0, Tokens).Where(i => TokenIds[i] >= vocabulary && TokenIds[i] < vocabulary + prompt.Length)
                .Select(i => (long)i).ToArray()));
        return this;
    }

    /// <summary>For each row, the name of its source, if known.</summary>
    public IReadOnlyList<string?>? Data { get; private set; }

    /// <summary>The number of rows as they lie here; a beginning that rows share is one of its own.</summary>
    public int Rows => Offsets.Length - 1;

    /// <summary>The number of rows that were given.</summary>
    public int GivenRows => shared?.Segments.Length ?? Rows;

    /// <summary>The number of tokens that were given; more than there are here when rows share their beginnings.</summary>
    public int GivenTokens => shared is null ? Tokens : Enumerable.Range(0, GivenRows).Sum(row => LengthOf(row));

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

    /// <summary>Σ of the targets' weights; a summed loss is divided by it.</summary>
    public double TargetCount { get; private set; }

    /// <summary>For each target, its row.</summary>
    public int[] TargetRows { get; private set; } = [];

    /// <summary>A batch for training or scoring.</summary>
    /// <param name="rows">The rows, none of them empty.</param>
    /// <param name="shares">Whether a beginning that rows one after the other have in common is laid once, and their continuations behind
    /// it. Only attention with a <see cref="Reach"/> reads such rows.</param>
    public static Batch Of(IReadOnlyList<TokenRow> rows, bool shares = false)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var ids = rows.Select(row => row.Ids).ToList();
        return Shifted(shares && SharedRows.Of(ids) is { } shared ? shared.Lay(ids) : Lay(ids, null, null), rows);
    }

    /// <summary>How many tokens of a row are not laid again when it follows another one in a batch whose rows share beginnings.</summary>
    /// <param name="before">The row before, at least one token of which stays its own.</param>
    /// <param name="row">The row.</param>
    public static int CommonBeginning(int[] before, int[] row)
    {
        ArgumentNullException.ThrowIfNull(before);
        ArgumentNullException.ThrowIfNull(row);
        return SharedRows.Common(before, row);
    }

    /// <summary>A batch of rows that share beginnings.</summary>
    /// <param name="shared">How they lie.</param>
    /// <param name="pieces">The tokens of beginnings and continuations.</param>
    internal static Batch Of(SharedRows shared, IReadOnlyList<int[]> pieces) => Lay(
        pieces,
        null,
        [.. shared.Roots.Select(root => root < 0 ? 0 : pieces[root].Length)],
        null,
        shared);

    private int BegunOf(int piece) => shared is null || shared.Roots[piece] < 0
        ? 0
        : Offsets[shared.Roots[piece] + 1] - Offsets[shared.Roots[piece]];

    private int LengthOf(int row)
    {
        var piece = shared?.Segments[row] ?? row;
        return BegunOf(piece) + Offsets[piece + 1] - Offsets[piece];
    }

    /// <summary>Where a token lies in the batch.</summary>
    /// <param name="row">The row, as it was given.</param>
    /// <param name="fromEnd">How many tokens of the row come behind it.</param>
    public int PlaceOf(int row, int fromEnd)
    {
        var piece = shared?.Segments[row] ?? row;
        var place = Offsets[piece + 1] - 1 - fromEnd;
        return place >= Offsets[piece] || BegunOf(piece) == 0
            ? place
            : Offsets[shared!.Roots[piece] + 1] - (Offsets[piece] - place);
    }

    /// <summary>The values of a row as it lies here, after those of its beginning.</summary>
    /// <param name="of">A value for each token of the batch [tokens, ...].</param>
    /// <param name="piece">The row as it lies here.</param>
    internal Tensor WithBeginning(Tensor of, int piece)
    {
        var own = of.narrow(0, Offsets[piece], Offsets[piece + 1] - Offsets[piece]);
        var begun = BegunOf(piece);
        return begun == 0 ? own : cat([of.narrow(0, Offsets[shared!.Roots[piece]], begun), own], 0);
    }

    /// <summary>
    /// A batch for an encoder-decoder: the encoder reads the sources, and the decoder predicts each row's targets from the tokens before
    /// them.
    /// </summary>
    /// <param name="sources">The encoder's rows.</param>
    /// <param name="rows">The decoder's rows; each begins with the token that starts an answer.</param>
    public static Batch Pairs(IReadOnlyList<int[]> sources, IReadOnlyList<TokenRow> rows)
    {
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(rows);
        return Shifted(Lay(rows.Select(row => row.Ids).ToList(), null, null, Lay(sources, null, null)), rows);
    }

    /// <summary>A batch for an encoder: a target is at the place of the mask token, not one place later.</summary>
    /// <param name="rows">The rows as the model sees them.</param>
    /// <param name="targets">For each token of each row its target, or −100 for none.</param>
    public static Batch Masked(IReadOnlyList<int[]> rows, IReadOnlyList<int[]> targets)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(targets);
        var batch = Lay(rows, null, null);
        var places = new List<(long Place, int Row, long Target)>();
        for (var r = 0; r < rows.Count; r++)
            for (var i = 0; i < rows[r].Length; i++)
                if (targets[r][i] != -100) places.Add((batch.Offsets[r] + i, r, targets[r][i]));
        batch.Learn(
            [.. places.Select(x => x.Place)],
            [.. places.Select(x => x.Target)],
            [.. places.Select(_ => 1f)],
            [.. places.Select(x => x.Row)]);
        return batch;
    }

    private static Batch Shifted(Batch batch, IReadOnlyList<TokenRow> rows)
    {
        List<long> places = [], targets = [];
        List<float> weights = [];
        List<int> owners = [];
        void Target(int row, int fromEnd, int id, float weight)
        {
            places.Add(batch.PlaceOf(row, fromEnd));
            targets.Add(id);
            weights.Add(weight);
            owners.Add(row);
        }
        for (var r = 0; r < rows.Count; r++)
        {
            var length = rows[r].Length;
            // A masked word is learned where it stands, every other target one place before it.
            if (rows[r].Hidden is { } hidden)
            {
                for (var i = 0; i < length; i++)
                    if (hidden[i] >= 0) Target(r, length - 1 - i, hidden[i], 1);
                continue;
            }
            for (var i = 1; i < length; i++)
                if (rows[r].Learn[i] != 0) Target(r, length - i, rows[r].Ids[i], rows[r].Learn[i]);
        }
        batch.Learn([.. places], [.. targets], [.. weights], [.. owners]);
        if (rows.Any(row => row.Data is not null)) batch.Data = [.. rows.Select(row => row.Data)];
        return batch;
    }

    private void Learn(long[] places, long[] targets, float[] weights, int[] owners)
    {
        Places = tensors.Keep(tensor(places));
        Targets = tensors.Keep(tensor(targets));
        Weights = tensors.Keep(tensor(weights));
        TargetRows = owners;
        TargetCount = weights.Sum(weight => (double)weight);
    }

    /// <summary>A batch for generation: each row continues at the end of its slot of the cache.</summary>
    /// <param name="rows">The new tokens of each row, none of them empty.</param>
    /// <param name="slots">The cache slot of each row.</param>
    /// <param name="starts">The number of tokens that each slot already holds.</param>
    /// <param name="source">For the first batch of an encoder-decoder, the encoder's rows.</param>
    public static Batch Continue(IReadOnlyList<int[]> rows, int[] slots, int[] starts, Batch? source = null) =>
        Lay(rows, slots, starts, source);

    /// <summary>Whether every row starts with an empty slot.</summary>
    public bool StartsFresh => Array.TrueForAll(Offsets[..^1], first => Positions[first] == 0);

    /// <summary>
    /// Each token sees itself and the tokens before it in its row, at most <paramref name="window"/> tokens when that is above 0.
    /// </summary>
    /// <param name="window">The window, or 0 for none.</param>
    /// <param name="chunk">The length of the chunks that a row is cut into, or 0 for whole rows.</param>
    public Reach Causal(int window = 0, int chunk = 0)
    {
        if (causal.TryGetValue((window, chunk), out var known)) return known;
        return causal[(window, chunk)] =
            chunk > 0 ? Reach.Chunked(Offsets, chunk, shared?.Roots) : Reach.Causal(Offsets, window, shared?.Roots);
    }

    /// <summary>Each token sees those of its row that are at most <paramref name="distance"/> places away.</summary>
    /// <param name="distance">The distance.</param>
    public Reach Around(int distance) => Reach.Around(Offsets, distance);

    /// <summary>Each token sees all of its row.</summary>
    public Reach Whole => whole ??= Reach.Whole(Offsets, Offsets);

    /// <summary>The places of the rows' first tokens [rows], 64-bit.</summary>
    public Tensor FirstPlaces() => tensor(Offsets.SkipLast(1).Select(offset => (long)offset + (Prompt?.Length ?? 0)).ToArray());

    /// <summary>The places of the rows' last tokens [rows], 64-bit.</summary>
    public Tensor LastPlaces() => tensor(Enumerable.Range(0, GivenRows).Select(row => (long)PlaceOf(row, 0)).ToArray());

    private static Batch Lay(
        IReadOnlyList<int[]> rows,
        int[]? slots,
        int[]? starts,
        Batch? source = null,
        SharedRows? shared = null)
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
        return new Batch(ids, offsets, positions, shared) { Slots = slots, Source = source };
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        tensors.Dispose();
        Source?.Dispose();
    }

    // The batch owns its tensors, independent of the scope it was made in.
    private sealed class DisposeScopeGuard : IDisposable
    {
        private readonly List<Tensor> kept = [];

        internal Tensor Keep(Tensor tensor)
        {
            kept.Add(tensor.DetachFromDisposeScope());
            return tensor;
        }

        public void Dispose() => kept.ForEach(tensor => tensor.Dispose());
    }
}
