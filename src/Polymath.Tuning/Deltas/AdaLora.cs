using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Adaptive low-rank adaptation (Zhang et al. 2023, eq. 3): ΔW = P·Λ·Q in the form of a singular value decomposition, here
/// B·diag(E)·A·α/(k + 10⁻⁵), where k is the initial number of ranks; pruning ranks (<see cref="RankBudget"/>) does not change the
/// scale. E starts at zero, A and B normal with deviation 0.02.
/// </summary>
public sealed class AdaLora : AddedDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Adalora,
        "ADALORA",
        [
            "r", "lora_alpha", "lora_dropout", "init_r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight",
            "total_step", "rank_pattern", "bias", "init_lora_weights", "use_rslora", "alpha_pattern", "qalora_group_size",
        ],
        Attach)
    {
        SizeKey = "init_r",
        StepsKey = "total_step",
        Check = RankBudget.Check,
        HasBias = true,
        KnowsTransposed = true,
        Idle =
        [
            IdleSetting.Always("r", "the ranks of AdaLoRA are init_r and target_r; leave it out"),
            IdleSetting.Always("use_rslora", "AdaLoRA has no such scale; leave it out"),
            IdleSetting.Always("alpha_pattern", "AdaLoRA has one alpha; leave it out"),
            IdleSetting.Always("init_lora_weights", "AdaLoRA has only one initialization; leave it out"),
            new(
                "target_r",
                configuration => configuration.Whole("target_r", 8, least: 0) > configuration.Whole("init_r", 12),
                "it is the number of ranks left of init_r, so it must be smaller; lower it, or raise init_r",
                BySize: true),
            IdleSetting.Always("qalora_group_size", "QALoRA is not known here; leave it out"),
        ],
    };

    private readonly double scale, dropout;
    private readonly DeltaSwitch state;

    private AdaLora(
        Weight a,
        Weight b,
        Weight e,
        double scale,
        double dropout,
        DeltaSwitch state) => (A, B, E, this.scale, this.dropout, this.state, Weights) = (a, b, e, scale, dropout, state, [a, b, e]);

    /// <summary>A [r, in].</summary>
    public Weight A { get; }

    /// <summary>B [out, r].</summary>
    public Weight B { get; }

    /// <summary>E [r, 1].</summary>
    public Weight E { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        var y = inner(x);
        if (!state.On) return y;
        var dropped = dropout > 0 && state.Training ? Dropout.Of(x, dropout) : x;
        return addmm(
            y,
            nn.functional.linear(dropped, A.Value * E.Value),
            B.Value.t(),
            1f,
            (float)scale);
    }

    /// <inheritdoc/>
    public override Tensor Change() => B.Value.mm(A.Value * E.Value) * scale;

    /// <summary>‖P·Pᵀ − I‖ of a delta's two bases, averaged. It keeps the bases orthogonal in training.</summary>
    public Tensor Skewness()
    {
        static Tensor Gap(Tensor square) => (square - eye(square.size(0))).norm();
        return (Gap(A.Value.mm(A.Value.t())) + Gap(B.Value.t().mm(B.Value))) / 2;
    }

    private static int Kept(AdapterConfiguration configuration, JsonNode marks) =>
        marks is JsonArray list && list.All(mark => mark?.GetValueKind() is JsonValueKind.True or JsonValueKind.False)
            ? list.Count(mark => mark!.GetValueKind() == JsonValueKind.True)
            : throw configuration.Fault("rank_pattern", "for each map a list of true and false is needed, one for each rank");

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        int first = configuration.Whole("init_r", 12);
        double alpha = configuration.Number("lora_alpha", 8), dropout = configuration.Number("lora_dropout", 0);
        var deltas = new List<(string, AdaLora)>();
        foreach (var target in parts.Targets)
        {
            // After training the file says for each rank whether it was kept, and holds only those ranks.
            var rank = configuration.Parts("rank_pattern")?[target.Name + ".lora_E"] is { } marks ? Kept(configuration, marks) : first;
            var delta = new AdaLora(
                parts.Weight(
                    target.Name,
                    "lora_A",
                    Start.Normal(0.02),
                    rank,
                    target.InputWidth),
                parts.Weight(
                    target.Name,
                    "lora_B",
                    Start.Normal(0.02),
                    target.OutputWidth,
                    rank),
                parts.Weight(
                    target.Name,
                    "lora_E",
                    Start.Zero,
                    rank,
                    1),
                alpha / (first + 1e-5),
                dropout,
                parts.State);
            parts.Plug(target, delta);
            deltas.Add((target.Name, delta));
        }
        parts.Follow(new RankBudget(parts, deltas));
    }
}
