using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// The gated blocks of all experts of a layer in two weights, as files hold them. They are trained in full; deltas have no socket there.
/// </summary>
/// <param name="gateUp">[experts, 2·inner, hidden], the gate's rows first; or [experts, hidden, 2·inner].</param>
/// <param name="down">[experts, hidden, inner]; or [experts, inner, hidden].</param>
/// <param name="activation">The activation of the gate.</param>
/// <param name="transposed">Whether both weights are stored in the second form.</param>
public sealed class ExpertStack(Weight gateUp, Weight down, Activation activation, bool transposed = false)
{
    /// <summary>The output of an expert's block for x [tokens, hidden].</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="x">The tokens that go through it.</param>
    public Tensor Forward(int expert, Tensor x)
    {
        Tensor Map(Weight of, Tensor input)
        {
            var matrix = of.Value.select(0, expert);
            return input.mm(transposed ? matrix : matrix.t());
        }
        var halves = Map(gateUp, x).chunk(2, -1);
        return Map(down, activation.Gate(halves[0].contiguous(), halves[1].contiguous()));
    }
}
