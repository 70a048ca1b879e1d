using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>A delta whose matrix is computed again for each pass: y = inner(x) + x·ΔWᵀ.</summary>
/// <param name="state">Whether the deltas of the set are on.</param>
/// <param name="weights">The weights of the matrix.</param>
public abstract class DenseDelta(DeltaSwitch state, params IReadOnlyList<Weight> weights) : AddedDelta
{
    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; } = weights;

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        return state.On ? inner(x) + nn.functional.linear(x, Change()) : inner(x);
    }
}

/// <summary>
/// Low-rank Hadamard product (Hyeon-Woo et al. 2022; Yeh et al. 2024): ΔW = (α/r)·(A₁B₁) ⊙ (A₂B₂), which reaches rank r².
/// B₂ starts at zero, the others by Kaiming's rule.
/// </summary>
public sealed class Loha : DenseDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Loha,
        "LOHA",
        [
            "r", "alpha", "rank_dropout", "module_dropout", "rank_dropout_scale", "use_effective_conv2d", "init_weights", "rank_pattern",
            "alpha_pattern", "bias",
        ],
        Attach)
    {
        Idle =
        [
            IdleSetting.Always("rank_dropout_scale", "the kept rows are always scaled up; leave it out"),
            IdleSetting.Always("use_effective_conv2d", "there are no convolutions; leave it out"),
            IdleSetting.OneStart(),
        ],
    };

    private readonly Weight a1, b1, a2, b2;
    private readonly double scale;
    private readonly PieceDropout dropout;
    private readonly DeltaSwitch state;

    private Loha(
        Weight a1,
        Weight b1,
        Weight a2,
        Weight b2,
        double scale,
        PieceDropout dropout,
        DeltaSwitch state)
        : base(
            state,
            a1,
            b1,
            a2,
            b2) => (this.a1, this.b1, this.a2, this.b2, this.scale, this.dropout, this.state) = (a1, b1, a2, b2, scale, dropout, state);

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(inner);
        if (!state.On || dropout.LeavesOut(state)) return inner(x);
        var change = Change();
        if (dropout.Rows(state, map.OutputWidth) is { } rows) change = change * rows.unsqueeze(1);
        return inner(x) + nn.functional.linear(x, change);
    }

    /// <inheritdoc/>
    public override Tensor Change() => a1.Value.mm(b1.Value) * a2.Value.mm(b2.Value) * scale;

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        // LoHa always scales the kept rows up, whatever rank_dropout_scale says; PEFT does the same.
        var dropout = PieceDropout.Of(configuration, scaled: true);
        foreach (var target in parts.Targets)
        {
            var rank = configuration.SpecialSize("rank_pattern", target.Name, configuration.Whole("r", 8));
            var alpha = configuration.Special("alpha_pattern", target.Name, configuration.Number("alpha", 8));
            long output = target.OutputWidth, input = target.InputWidth;
            parts.Plug(target, new Loha(
                parts.Weight(
                    target.Name,
                    "hada_w1_a",
                    Start.Kaiming(rank),
                    output,
                    rank),
                parts.Weight(
                    target.Name,
                    "hada_w1_b",
                    Start.Kaiming(input),
                    rank,
                    input),
                parts.Weight(
                    target.Name,
                    "hada_w2_a",
                    Start.Kaiming(rank),
                    output,
                    rank),
                parts.Weight(
                    target.Name,
                    "hada_w2_b",
                    Start.Zero,
                    rank,
                    input),
                alpha / rank,
                dropout,
                parts.State));
        }
    }
}
