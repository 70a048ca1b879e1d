using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Vector-based random matrix adaptation (Kopiczko et al. 2024, eq. 2): y = Wx + b + Λ_b·B·Λ_d·A·x. A and B are random, frozen and
/// shared by all maps; each map uses the upper-left part that it needs; only the vectors λ_d, starting at 0.1, and λ_b, starting at zero,
/// are trained.
/// </summary>
public sealed class Vera : AddedDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Vera,
        "VERA",
        ["r", "d_initial", "vera_dropout", "projection_prng_key", "save_projection", "bias", "init_weights"],
        Attach)
    {
        HasBias = true,
        KnowsTransposed = true,
        Idle =
        [
            IdleSetting.Always("projection_prng_key", "the recipe's seed chooses the projections; leave it out"),
            IdleSetting.OneStart(),
        ],
    };

    private readonly Weight first, second, inside, outside;
    private readonly double dropout;
    private readonly long input, output;
    private readonly DeltaSwitch state;

    private Vera(
        Weight first,
        Weight second,
        Weight inside,
        Weight outside,
        Projection target,
        double dropout,
        DeltaSwitch state)
    {
        (this.first, this.second, this.inside, this.outside, this.dropout, this.state) = (first, second, inside, outside, dropout, state);
        (input, output, Weights) = (target.InputWidth, target.OutputWidth, [outside, inside]);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    private Tensor A => first.Value.narrow(1, 0, input);

    private Tensor B => second.Value.narrow(0, 0, output);

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        var y = inner(x);
        if (!state.On) return y;
        var dropped = dropout > 0 && state.Training ? Dropout.Of(x, dropout) : x;
        return y + nn.functional.linear(nn.functional.linear(dropped, A) * inside.Value, B) * outside.Value;
    }

    /// <inheritdoc/>
    public override Tensor Change() => outside.Value.unsqueeze(1) * B.mm(inside.Value.unsqueeze(1) * A);

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var rank = configuration.Whole("r", 256);
        var targets = parts.Targets.ToList();
        if (targets.Count == 0) return;
        if (!configuration.Flag("save_projection", otherwise: true))
            throw new InputException($"{configuration.Origin}: save_projection is false, so the shared projections are not in the "
                + "file; they come from PyTorch's random numbers and differ between machines. Save the adapter again with "
                + "save_projection=True.");
        long input = targets.Max(target => target.InputWidth), output = targets.Max(target => target.OutputWidth);
        // As in PEFT: Kaiming's uniform bound √6/√((1 + 5)·fan) with the gain √2, which is √(6/fan).
        Weight a = parts.Fixed("base_model.vera_A", new Start(0, Math.Sqrt(6.0 / input), Uniform: true), rank, input),
            b = parts.Fixed("base_model.vera_B", new Start(0, Math.Sqrt(6.0 / rank), Uniform: true), output, rank);
        foreach (var target in targets)
            parts.Plug(target, new Vera(
                a,
                b,
                parts.Weight(target.Name, "vera_lambda_d", new Start(configuration.Number("d_initial", 0.1)), rank),
                parts.Weight(target.Name, "vera_lambda_b", Start.Zero, target.OutputWidth),
                target,
                configuration.Number("vera_dropout", 0),
                parts.State));
    }
}
