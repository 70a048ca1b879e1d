using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Linear maps with frozen, quantized weights; the result is that of the 32-bit values they stand for.</summary>
public static class QuantizedProduct
{
    /// <summary>y = x·Wᵀ + b in 32 bits, with gradients for x and b.</summary>
    /// <param name="x">[n, in], 32 bits.</param>
    /// <param name="weight">W [out, in].</param>
    /// <param name="bias">b [out] in 32 bits, or null.</param>
    public static Tensor Linear(Tensor x, QuantizedMatrix weight, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(weight);
        var map = new BlockMap(weight, bias);
        if (FewRows.Takes(x, map) && FewRows.NeedsNoGradient(x, map)) return FewRows.Linear(x, [map])[0];
        var y = x.device_type == DeviceType.CPU && x.Dimensions == 2 ? new Map(weight).Run(x) : PlainLinear(x, weight);
        return bias is null ? y : y + bias;
    }

    /// <summary>The same in libtorch's operations, all weights widened at once.</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="weight">W [out, in].</param>
    public static Tensor PlainLinear(Tensor x, QuantizedMatrix weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return nn.functional.linear(x, weight.Plain());
    }

    private sealed class Map(QuantizedMatrix weight) : Fused
    {
        protected internal override int InputCount => 1;

        internal Tensor Run(Tensor x) => Apply(x);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            var result = empty(inputs[0].size(0), weight.Rows);
            if (result.numel() == 0) return result;
            using var x = inputs[0].contiguous();
            var map = new BlockMap(weight, null);
            if (FewRows.Takes(x, map)) FewRows.Into(result, x, map);
            else
                Slices.Over(weight.Rows, weight.Columns, weight.Widen, (from, size, wide) =>
                {
                    using var part = result.narrow(1, from, size);
                    using var turned = wide.t();
                    LibTorch.MatrixProduct(part, x, turned);
                });
            return result;
        }

        protected internal override Tensor?[] Backward(Tensor gradient)
        {
            var result = zeros(gradient.size(0), weight.Columns);
            using var dense = gradient.contiguous();
            Slices.Over(weight.Rows, weight.Columns, weight.Widen, (from, size, wide) =>
            {
                using var part = dense.narrow(1, from, size);
                result.addmm_(part, wide, 1f, 1f);
            });
            return [result];
        }
    }
}
