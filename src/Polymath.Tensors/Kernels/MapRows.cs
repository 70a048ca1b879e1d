using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Some outputs of a linear map: x·W[first … first + count]ᵀ + b[first … first + count]. The gradient of W and b is added only to
/// these outputs' rows. libtorch's own gradient would be a tensor of zeros as large as the whole map, made and added once for every part.
/// </summary>
public sealed class MapRows : Fused
{
    private readonly long first, count;
    private Tensor? x, weight, bias;

    private MapRows(long first, long count) => (this.first, this.count) = (first, count);

    /// <inheritdoc/>
    protected internal override int InputCount => 3;

    /// <summary>The outputs [n, count].</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="weight">W [out, in], a leaf.</param>
    /// <param name="bias">b [out], a leaf.</param>
    /// <param name="first">The first output.</param>
    /// <param name="count">How many.</param>
    public static Tensor Of(
        Tensor x,
        Tensor weight,
        Tensor bias,
        long first,
        long count) => new MapRows(first, count).Apply(x, weight, bias);

    /// <inheritdoc/>
    protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        // The leaves themselves, because their gradients are accumulated.
        (x, weight, bias) = (SaveForBackward(inputs[0]), inputs[1], inputs[2]);
        using Tensor rows = weight.narrow(0, first, count), own = bias.narrow(0, first, count);
        return nn.functional.linear(x, rows, own);
    }

    /// <inheritdoc/>
    protected internal override Tensor?[] Backward(Tensor gradient)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        using var frozen = no_grad();
        if (weight!.requires_grad) Add(weight, gradient.t().mm(x!));
        if (bias!.requires_grad) Add(bias, gradient.sum(dim: 0));
        return [gradient.mm(weight.narrow(0, first, count)), null, null];
    }

    private void Add(Tensor leaf, Tensor part)
    {
        using (var none = leaf.grad)
            if (none is null) leaf.grad = zeros_like(leaf);
        using var whole = leaf.grad!;
        whole.narrow(0, first, count).add_(part);
    }
}
