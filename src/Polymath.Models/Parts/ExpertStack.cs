using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>How files hold a stack of experts' maps.</summary>
/// <param name="IsTransposed">Whether the weight is [experts, in, out] instead of [experts, out, in].</param>
/// <param name="HasBias">Whether there is a weight <c>NAME_bias</c> [experts, out].</param>
/// <param name="IsSwapped">Whether PEFT takes the last dimension for the input's, although it is the output's.</param>
public readonly record struct StackForm(bool IsTransposed = false, bool HasBias = false, bool IsSwapped = false);

/// <summary>
/// The gated blocks of all experts of a layer in two weights, as files hold them; each expert's maps have sockets of their own.
/// </summary>
/// <param name="gateUp">The maps to gate and up, by expert.</param>
/// <param name="down">The maps back, by expert.</param>
/// <param name="gate">From what a first map gives [tokens, 2·inner] to what the second reads [tokens, inner].</param>
public sealed class ExpertStack(IReadOnlyList<Projection> gateUp, IReadOnlyList<Projection> down, Func<Tensor, Tensor> gate)
{
    /// <summary>The two stacks <c>gate_up_proj</c> and <c>down_proj</c> under a prefix, with the gate's rows first.</summary>
    /// <param name="parts">The model's parts.</param>
    /// <param name="prefix">The prefix of the names, such as <c>model.layers.0.mlp.experts.</c>.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="sizes">The number of experts, the outer and the inner width.</param>
    /// <param name="gate">The gate.</param>
    /// <param name="form">How files hold them.</param>
    public static ExpertStack Of(
        ModelParts parts,
        string prefix,
        int layer,
        (int Experts, int Hidden, int Inner) sizes,
        Func<Tensor, Tensor> gate,
        StackForm form = default)
    {
        ArgumentNullException.ThrowIfNull(parts);
        IReadOnlyList<Projection> Maps(string name, Role role, int output, int input) => parts.Stacked(
            prefix + name,
            (prefix, name),
            role,
            layer,
            (sizes.Experts, output, input),
            form);
        return new ExpertStack(
            Maps("gate_up_proj", Role.GateUp, 2 * sizes.Inner, sizes.Hidden),
            Maps("down_proj", Role.Down, sizes.Hidden, sizes.Inner),
            gate);
    }

    /// <summary>How many experts there are.</summary>
    public int Count => gateUp.Count;

    /// <summary>The usual gate of halves: f(first)·second.</summary>
    /// <param name="activation">f.</param>
    public static Func<Tensor, Tensor> Halves(Activation activation) => both =>
    {
        ArgumentNullException.ThrowIfNull(activation);
        ArgumentNullException.ThrowIfNull(both);
        var halves = both.chunk(2, -1);
        return activation.Gate(halves[0].contiguous(), halves[1].contiguous());
    };

    /// <summary>The output of an expert's block for x [tokens, hidden].</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="x">The tokens that go through it.</param>
    public Tensor Forward(int expert, Tensor x) => down[expert].Forward(gate(gateUp[expert].Forward(x)));

    // The weights that are cut into parts for a pass.
    internal IEnumerable<Weight> Weights =>
        new[] { gateUp[0].Weight, gateUp[0].Bias, down[0].Weight, down[0].Bias }.OfType<Weight>();
}
