using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>A delta that rotates the input before the map: y = W(Rx) + b, R orthogonal.</summary>
/// <param name="state">Whether the deltas of the set are on.</param>
/// <param name="weights">The weights of R.</param>
public abstract class OrthogonalDelta(DeltaSwitch state, params IReadOnlyList<Weight> weights) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; } = weights;

    /// <summary>Whether the deltas of the set are on.</summary>
    protected bool IsOn => state.On;

    /// <summary>Whether they are being trained.</summary>
    protected bool IsTraining => state.Training;

    /// <summary>Rotates rows x [n, in]: each becomes x·T.</summary>
    /// <param name="x">The rows.</param>
    protected abstract Tensor Rotate(Tensor x);

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        return inner(IsOn ? Rotate(x) : x);
    }

    /// <summary>The rotated identity: T [in, in].</summary>
    /// <param name="width">in.</param>
    protected Tensor Matrix(long width) => Rotate(eye(width));

    // (x·T)·Wᵀ = x·(W·Tᵀ)ᵀ.
    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return (weight.mm(Matrix(weight.size(1)).t()), bias);
    }

    /// <inheritdoc/>
    public override bool Unmerges => true;

    // W' = W·Tᵀ. A Neumann series is only approximately a rotation, so the equation is solved with T instead of using its transpose.
    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return (linalg.solve(Matrix(weight.size(1)), weight.t()).t(), bias);
    }
}

/// <summary>
/// Orthogonal fine-tuning (Qiu et al. 2023): blocks of the input are rotated by R = (I − Q)(I + Q)⁻¹, Q skew-symmetric (Cayley's map).
/// PEFT's default is a Neumann series, I + 2Q + 2Q² + 2Q³ + Q⁴ for five terms, which approximates (I + Q)(I − Q)⁻¹, the inverse.
/// Both are computed as their files say. Q starts at zero.
/// </summary>
public sealed class Oft : OrthogonalDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Oft,
        "OFT",
        [
            "r", "oft_block_size", "module_dropout", "init_weights", "coft", "eps", "block_share", "use_cayley_neumann",
            "num_cayley_neumann_terms", "bias",
        ],
        Attach)
    {
        SizeKey = "oft_block_size",
        HasBias = true,
        Idle =
        [
            IdleSetting.Unless("eps", "coft", "true"),
            new(
                "num_cayley_neumann_terms",
                configuration => !configuration.Flag("use_cayley_neumann", otherwise: true),
                "it belongs to use_cayley_neumann: true"),
            IdleSetting.OneStart(),
        ],
    };

    private readonly Weight angles;
    private readonly int size, terms;
    private readonly double limit, dropout;
    private readonly bool series;

    private Oft(
        Weight angles,
        int size,
        bool series,
        int terms,
        double limit,
        double dropout,
        DeltaSwitch state)
        : base(state, angles) =>
        (this.angles, this.size, this.series, this.terms, this.limit, this.dropout) = (angles, size, series, terms, limit, dropout);

    /// <inheritdoc/>
    protected override Tensor Rotate(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        var blocks = x.size(1) / size;
        var turns = Rotations();
        // A block that all share is never dropped.
        if (IsTraining && turns.size(0) > 1) turns = BlockDropout.Of(turns, dropout);
        if (turns.size(0) == 1) turns = turns.expand(blocks, size, size);
        // [blocks, n, size] · [blocks, size, size].
        return x.view(x.size(0), blocks, size).transpose(0, 1).bmm(turns).transpose(0, 1).reshape(x.size(0), -1);
    }

    private Tensor Rotations()
    {
        if (limit > 0) Shorten();
        var q = Skew(angles.Value, size);
        var identity = eye(size);
        if (!series) return linalg.solve((identity + q).transpose(1, 2), (identity - q).transpose(1, 2)).transpose(1, 2);
        var turns = identity.expand(q.shape);
        if (terms > 1) turns = turns + q * 2;
        if (terms <= 2) return turns;
        var power = q.bmm(q);
        turns = turns + power * 2;
        for (var term = 3; term < terms - 1; term++)
        {
            power = power.bmm(q);
            turns = turns + power * 2;
        }
        return turns + power.bmm(q);
    }

    // Constrained rotations: the norm of each block's Q is limited.
    private void Shorten()
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var length = Skew(angles.Value, size).square().sum([1, 2]).sqrt().unsqueeze(1);
        var most = limit / Math.Sqrt(angles.Value.size(0));
        angles.Assign(where(length.le(most), angles.Value, angles.Value * (most / length)));
    }

    // When a number does not divide a width, PEFT uses the nearest divisor (the smaller of two) and does not change the setting in the
    // file.
    private static int Divisor(int width, int wish)
    {
        if (wish >= width) return width;
        int above = wish, below = wish;
        while (width % above != 0) above++;
        while (width % below != 0) below--;
        return wish - below <= above - wish ? below : above;
    }

    /// <summary>
    /// Skew-symmetric matrices [n, size, size] from the elements above their diagonals, row by row [n, size·(size − 1)/2].
    /// </summary>
    internal static Tensor Skew(Tensor above, int size)
    {
        var places = new List<long>();
        for (var row = 0; row < size; row++)
            for (var column = row + 1; column < size; column++) places.Add(row * size + column);
        var upper = zeros(above.size(0), (long)size * size).index_copy(1, tensor(places.ToArray()), above).view(-1, size, size);
        return upper - upper.transpose(1, 2);
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var dropout = PieceDropout.Share(configuration, "module_dropout");
        foreach (var target in parts.Targets)
        {
            int blocks = configuration.Whole("r", 0, least: 0), size = configuration.Whole("oft_block_size", 32, least: 0);
            if (blocks == 0 == (size == 0))
                throw configuration.Fault("oft_block_size", "exactly one of oft_block_size and r must be above 0");
            var width = (int)target.InputWidth;
            if (parts.IsFresh && width % Math.Max(size, blocks) != 0)
                throw new InputException($"{configuration.Origin}: {(size == 0 ? $"{blocks} blocks" : $"blocks of {size}")} do not fill "
                    + $"the {width} inputs of {target.Name}. Choose a divisor of them.");
            if (size == 0) size = width / Divisor(width, blocks);
            else size = Divisor(width, size);
            blocks = width / size;
            parts.Plug(target, new Oft(
                parts.Weight(
                    target.Name,
                    "oft_R.weight",
                    Start.Zero,
                    configuration.Flag("block_share") ? 1 : blocks,
                    (long)size * (size - 1) / 2),
                size,
                configuration.Flag("use_cayley_neumann", otherwise: true),
                configuration.Whole("num_cayley_neumann_terms", 5),
                configuration.Flag("coft") ? configuration.Number("eps", 6e-5) : 0,
                dropout,
                parts.State));
        }
    }
}
