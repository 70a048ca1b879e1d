using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>A small change of a projection, plugged into its socket: trained while the projection's own weight stays frozen.</summary>
public abstract class Delta
{
    /// <summary>The delta's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>Changes a projection's output.</summary>
    /// <param name="input">The projection's input [tokens, in].</param>
    /// <param name="output">Its output without the delta [tokens, out].</param>
    public abstract Tensor Apply(Tensor input, Tensor output);

    /// <summary>The change as a change of the projection's weight [out, in].</summary>
    public abstract Tensor WeightChange();
}
