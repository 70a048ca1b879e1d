using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Orthogonal butterfly fine-tuning (Liu et al. 2024): m factors, then a scale s for each output. Each factor rotates small blocks between
/// two shuffles, whose distance grows from factor to factor. A block's rotation is Cayley's map of ½(R − Rᵀ). R starts at zero, s at
/// one.
/// </summary>
public sealed class Boft : OrthogonalDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Boft,
        "BOFT",
        ["boft_block_size", "boft_block_num", "boft_n_butterfly_factor", "boft_dropout", "init_weights", "bias"],
        Attach)
    {
        SizeKey = "boft_block_size",
        HasBias = true,
        Idle = [IdleSetting.OneStart()],
    };

    private readonly Weight blocks, scales;
    private readonly Tensor[] orders;
    private readonly double dropout;

    private Boft(
        Weight blocks,
        Weight scales,
        Tensor[] orders,
        double dropout,
        DeltaSwitch state)
        : base(state, blocks, scales) => (this.blocks, this.scales, this.orders, this.dropout) = (blocks, scales, orders, dropout);

    /// <inheritdoc/>
    protected override Tensor Rotate(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        var still = Still();
        long count = blocks.Value.size(1), size = blocks.Value.size(2);
        // The first factor is rightmost in the product, so the last factor is applied to a row first.
        for (var factor = orders.Length - 1; factor >= 0; factor--)
        {
            var half = blocks.Value[factor];
            var q = (half - half.transpose(1, 2)) * 0.5;
            var identity = eye(size);
            var turns = linalg.solve((identity + q).transpose(1, 2), (identity - q).transpose(1, 2)).transpose(1, 2);
            if (factor == still) turns = BlockDropout.Of(turns, dropout);
            // x·(P·D·Pᵀ): row i of P has its 1 at order[i].
            var shuffled = zeros_like(x).index_copy(1, orders[factor], x);
            var turned = shuffled.view(x.size(0), count, size).transpose(0, 1).bmm(turns).transpose(0, 1).reshape(x.size(0), -1);
            x = turned.index_select(1, orders[factor]);
        }
        return x;
    }

    // In training, dropout may disable blocks of one factor, which is chosen again for each pass; −1 for none.
    private long Still()
    {
        if (!IsTraining || dropout == 0) return -1;
        using var drawn = randint(0, orders.Length, [1], dtype: ScalarType.Int64);
        return drawn.item<long>();
    }

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(inner);
        if (!IsOn) return inner(x);
        var y = inner(Rotate(x));
        var scale = scales.Value.squeeze(-1);
        return map.BiasValues is not { } bias ? y * scale : (y - bias) * scale + bias;
    }

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias)
    {
        var (turned, kept) = base.Merge(weight, bias);
        return (turned * scales.Value, kept);
    }

    /// <inheritdoc/>
    public override bool Unmerges => scales.Value.ne(0).all().item<bool>();

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return base.Unmerge(weight / scales.Value, bias);
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var dropout = PieceDropout.Share(configuration, "boft_dropout");
        foreach (var target in parts.Targets)
        {
            // Without its CUDA extension, PEFT trains one factor whatever the setting says; the file has the true number.
            var factors = parts.ShapeOf(target.Name, "boft_R") is [var held, ..]
                ? (int)held
                : configuration.Whole("boft_n_butterfly_factor", 1);
            int count = configuration.Whole("boft_block_num", 0, least: 0),
                size = configuration.Whole("boft_block_size", 4, least: 0),
                width = (int)target.InputWidth;
            if (count == 0 == (size == 0))
                throw configuration.Fault("boft_block_size", "exactly one of boft_block_size and boft_block_num must be above 0");
            if (count > width) throw configuration.Fault("boft_block_num", $"{target.Name} has {width} inputs, fewer than blocks");
            if (size == 0) size = width / count;
            count = width / size;
            if (count * size != width)
                throw new InputException($"{configuration.Origin}: blocks of {size} do not fill the {width} inputs of {target.Name}. "
                    + "Choose a divisor of them.");
            if (factors > 1 && (size % 2 != 0 || count % (1 << (factors - 1)) != 0))
                throw new InputException($"{configuration.Origin}: {factors} butterfly factors need even blocks, and a number of blocks "
                    + $"that {1 << (factors - 1)} divides; {target.Name} has {count} blocks of {size}.");
            parts.Plug(target, new Boft(
                parts.Weight(
                    target.Name,
                    "boft_R",
                    Start.Zero,
                    factors,
                    count,
                    size,
                    size),
                parts.Weight(
                    target.Name,
                    "boft_s",
                    Start.One,
                    target.OutputWidth,
                    1),
                [.. Enumerable.Range(0, factors).Select(factor => parts.Own(Order(width, count >> factor, size / 2, factors - 1)))],
                dropout,
                parts.State));
        }
    }

    // Within each of b parts, runs of r elements are reordered: the even runs first, then the odd ones.
    private static Tensor Order(int width, int b, int r, int factors)
    {
        if (factors == 0) return arange(width, dtype: ScalarType.Int64);
        var part = width / b;
        var order = new long[width];
        int[] runs = [.. Enumerable.Range(0, part / r).OrderBy(run => run % 2).ThenBy(run => run)];
        for (var i = 0; i < width; i++) order[i] = i / part * part + runs[i % part / r] * r + i % r;
        return tensor(order);
    }
}
