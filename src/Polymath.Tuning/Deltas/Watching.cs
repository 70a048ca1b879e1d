using Polymath.Models;
using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>Reports the input of a map without a change.</summary>
/// <param name="see">Receives the input [tokens, in].</param>
internal sealed class Watching(Action<Tensor> see) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => [];

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
    {
        see(x);
        return inner(x);
    }
}

/// <summary>
/// Adds a matrix of zeros to a map's weight, in whatever precision it is stored; the gradient of the zeros is the weight's gradient.
/// </summary>
internal sealed class Probe : Delta, IDisposable
{
    private readonly Tensor zero;

    internal Probe(Projection map) => zero = zeros(map.OutputWidth, map.InputWidth).requires_grad_(true).DetachFromDisposeScope();

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights => [];

    /// <inheritdoc/>
    public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner) => inner(x) + nn.functional.linear(x, zero);

    /// <summary>The gradient since the last request, or null.</summary>
    internal Tensor? Take()
    {
        var gradient = zero.grad;
        if (gradient is not null) zero.grad = null;
        return gradient;
    }

    public void Dispose() => zero.Dispose();
}
