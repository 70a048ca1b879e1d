using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>A gated feed-forward block: down(f(gate(x))·up(x)) (Shazeer 2020), gate and up as two maps or one.</summary>
public sealed class GatedFeedForward
{
    private readonly Projection gate, down;
    private readonly Projection? up;
    private readonly Activation activation;

    private GatedFeedForward(Projection gate, Projection? up, Projection down, Activation activation) =>
        (this.gate, this.up, this.down, this.activation) = (gate, up, down, activation);

    /// <summary>The three maps, if they are separate, gated by silu, and without deltas; else null.</summary>
    internal (BlockMap Gate, BlockMap Up, BlockMap Down)? Plain =>
        up is not null && gate.IsPlain && up.IsPlain && down.IsPlain && activation.Name is "silu" or "swish"
            ? (gate.Map, up.Map, down.Map)
            : null;

    /// <summary>A block of three maps: <c>gate_proj</c>, <c>up_proj</c> and <c>down_proj</c> under a prefix.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the names.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="hidden">The outer width.</param>
    /// <param name="inner">The inner width.</param>
    /// <param name="activation">f.</param>
    /// <param name="bias">Whether the maps have biases.</param>
    public static GatedFeedForward Apart(
        ModelParts parts,
        string prefix,
        int layer,
        int hidden,
        int inner,
        Activation activation,
        bool bias = false)
    {
        ArgumentNullException.ThrowIfNull(parts);
        var gate = parts.Linear(
            prefix + "gate_proj",
            Role.Gate,
            layer,
            inner,
            hidden,
            bias);
        var up = parts.Linear(
            prefix + "up_proj",
            Role.Up,
            layer,
            inner,
            hidden,
            bias);
        return new GatedFeedForward(
            gate,
            up,
            parts.Linear(
                prefix + "down_proj",
                Role.Down,
                layer,
                hidden,
                inner,
                bias),
            activation);
    }

    /// <summary>A block with gate and up in one map, the gate's rows first.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="gateUp">The name of the fused map.</param>
    /// <param name="down">The name of the down map.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="hidden">The outer width.</param>
    /// <param name="inner">The inner width.</param>
    /// <param name="activation">f.</param>
    /// <param name="bias">Whether the maps have biases.</param>
    public static GatedFeedForward Fused(
        ModelParts parts,
        string gateUp,
        string down,
        int layer,
        int hidden,
        int inner,
        Activation activation,
        bool bias = false)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return new GatedFeedForward(
            parts.Linear(
                gateUp,
                Role.GateUp,
                layer,
                2 * inner,
                hidden,
                bias),
            null,
            parts.Linear(
                down,
                Role.Down,
                layer,
                hidden,
                inner,
                bias),
            activation);
    }

    /// <summary>An expert's block.</summary>
    /// <param name="gate">The gate.</param>
    /// <param name="up">The up map.</param>
    /// <param name="down">The down map.</param>
    /// <param name="activation">f.</param>
    public static GatedFeedForward Of(Projection gate, Projection up, Projection down, Activation activation) =>
        new(gate, up, down, activation);

    /// <summary>Maps x [tokens, hidden] to [tokens, hidden].</summary>
    /// <param name="x">The input.</param>
    public Tensor Forward(Tensor x)
    {
        if (up is not null)
        {
            var maps = Projection.Together(x, gate, up);
            return down.Forward(activation.Gate(maps[0], maps[1]));
        }
        var halves = gate.Forward(x).chunk(2, -1);
        return down.Forward(activation.Gate(halves[0].contiguous(), halves[1].contiguous()));
    }
}
