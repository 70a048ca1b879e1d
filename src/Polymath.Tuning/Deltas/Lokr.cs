using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Low-rank Kronecker product (Edalati et al. 2022; Yeh et al. 2024): ΔW = (α/r)·W₁ ⊗ W₂, with out = l·k and in = m·n split as
/// evenly as their factors allow. W₂ is of rank r when that is smaller; W₁ is, too, when both are to be decomposed. W₁ starts at
/// zero, the rest by Kaiming's rule.
/// </summary>
public sealed class Lokr : AddedDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Lokr,
        "LOKR",
        [
            "r", "alpha", "rank_dropout", "module_dropout", "rank_dropout_scale", "use_effective_conv2d", "decompose_both",
            "decompose_factor", "init_weights", "rank_pattern", "alpha_pattern", "bias",
        ],
        Attach)
    {
        Idle =
        [
            IdleSetting.Always("use_effective_conv2d", "there are no convolutions; leave it out"),
            new(
                "decompose_factor",
                configuration => configuration.Whole("decompose_factor", -1, least: -1) == 0,
                "0 splits as 1 does; write 1, or -1 for two factors near each other"),
            IdleSetting.OneStart(),
        ],
    };

    private readonly IReadOnlyList<Weight> first, second;
    private readonly double scale;
    private readonly PieceDropout dropout;
    private readonly DeltaSwitch state;

    private Lokr(
        IReadOnlyList<Weight> first,
        IReadOnlyList<Weight> second,
        double scale,
        PieceDropout dropout,
        DeltaSwitch state) =>
            (this.first, this.second, this.scale, this.dropout, this.state, Weights) =
                (first, second, scale, dropout, state, [.. first, .. second]);

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    private static Tensor Factor(IReadOnlyList<Weight> parts) => parts.Count == 1 ? parts[0].Value : parts[0].Value.mm(parts[1].Value);

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(inner);
        var y = inner(x);
        if (!state.On || dropout.LeavesOut(state)) return y;
        // (W₁ ⊗ W₂)x is W₂ over the inner part of x, then W₁ over the outer one: no product of the full size is made.
        Tensor w1 = Factor(first), w2 = Factor(second);
        var inside = nn.functional.linear(x.view(x.size(0), w1.size(1), w2.size(1)), w2);           // [tokens, m, k]
        var both = nn.functional.linear(inside.transpose(1, 2), w1).transpose(1, 2);                // [tokens, l, k]
        var change = both.reshape(x.size(0), -1) * scale;
        return y + (dropout.Rows(state, change.size(1)) is { } rows ? change * rows : change);
    }

    /// <inheritdoc/>
    public override Tensor Change() => kron(Factor(first), Factor(second)) * scale;

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var dropout = PieceDropout.Of(configuration, configuration.Flag("rank_dropout_scale"));
        var factor = configuration.Whole("decompose_factor", -1, least: -1);
        foreach (var target in parts.Targets)
        {
            var rank = configuration.SpecialSize("rank_pattern", target.Name, configuration.Whole("r", 8));
            var alpha = configuration.Special("alpha_pattern", target.Name, configuration.Number("alpha", 8));
            (long l, long k) = Split(target.OutputWidth, factor);
            (long m, long n) = Split(target.InputWidth, factor);
            IReadOnlyList<Weight> Make(
                string name,
                bool low,
                long rows,
                long columns,
                bool zero)
            {
                if (low)
                    return [parts.Weight(
                        target.Name,
                        name + "_a",
                        zero ? Start.Zero : Start.Kaiming(rank),
                        rows,
                        rank), parts.Weight(
                            target.Name,
                            name + "_b",
                            Start.Kaiming(columns),
                            rank,
                            columns)];
                return [parts.Weight(
                    target.Name,
                    name,
                    zero ? Start.Zero : Start.Kaiming(columns),
                    rows,
                    columns)];
            }
            parts.Plug(target, new Lokr(
                Make(
                    "lokr_w1",
                    configuration.Flag("decompose_both") && rank < Math.Max(l, m) / 2.0,
                    l,
                    m,
                    zero: true),
                Make(
                    "lokr_w2",
                    rank < Math.Max(k, n) / 2.0,
                    k,
                    n,
                    zero: false),
                alpha / rank,
                dropout,
                parts.State));
        }
    }

    /// <summary>
    /// Two factors of a width, the smaller first: as near to each other as possible, the smaller at most <paramref name="factor"/>, or
    /// exactly that when it divides the width.
    /// </summary>
    /// <param name="width">The width.</param>
    /// <param name="factor">The requested factor, or −1.</param>
    internal static (long Small, long Large) Split(long width, int factor)
    {
        if (factor > 0 && width % factor == 0) return (factor, width / factor);
        var small = 1L;
        for (var candidate = 2L; candidate * candidate <= width && (factor == -1 || candidate <= factor); candidate++)
            if (width % candidate == 0) small = candidate;
        return (small, width / small);
    }
}
