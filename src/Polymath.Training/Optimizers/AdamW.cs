using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// AdamW (Loshchilov &amp; Hutter 2019, algorithm 2), each weight in one pass over memory: with m and v the moments of the gradient,
/// w ← (1 - rate·decay)·w - rate·m̂/(√v̂ + ε). Two numbers of 32 bits are kept for each that is trained.
/// </summary>
public sealed class AdamW : Optimizer
{
    private readonly AdamwSpec spec;
    private readonly IReadOnlyList<(Tensor First, Tensor Second)> moments;

    /// <summary>Moments at zero.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public AdamW(WeightGroup group, AdamwSpec spec) : base(group)
    {
        this.spec = spec;
        moments = [.. group.Weights.Select(weight => (Zeros(weight), Zeros(weight)))];
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move) => Apply(
        spec,
        weight,
        gradient,
        moments[place].First,
        moments[place].Second,
        move);

    /// <summary>Moves one weight.</summary>
    internal static void Apply(
        AdamwSpec spec,
        Weight weight,
        Tensor gradient,
        Tensor first,
        Tensor second,
        Move move) => AdamWStep.Apply(
            weight.Value,
            gradient,
            first,
            second,
            Numbers(spec, weight, move));

    /// <summary>The numbers of one weight's step: LoRA+ sets B's rate apart, and norms and biases are not decayed.</summary>
    internal static AdamWNumbers Numbers(AdamwSpec spec, Weight weight, Move move) => new(
        move.Rate * (IsLoraB(weight) ? spec.LoraPlusRatio : 1),
        spec.Beta1,
        spec.Beta2,
        spec.Epsilon,
        Decays(weight) ? spec.WeightDecay : 0,
        move.Step,
        move.GradientScale);

    private static bool IsLoraB(Weight weight) =>
        weight.Name.Contains(".lora_B", StringComparison.Ordinal) || weight.Name.EndsWith(".lora_embedding_B", StringComparison.Ordinal);

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place) =>
        [(FirstMoment, moments[place].First), (SecondMoment, moments[place].Second)];

    /// <inheritdoc/>
    internal override void LoadPeers(string path) => Done(PeerMoments.Read(
        path,
        [.. Group.Weights.Select((weight, place) => (weight, moments[place].First, moments[place].Second))],
        Group.MadeOrder));
}
