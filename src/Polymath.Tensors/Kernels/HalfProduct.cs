using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Linear maps whose frozen weights stay in the 16 bits of their file (bfloat16 or float16). Every value is widened exactly when it is
/// used, so the result equals that of 32-bit weights with the memory of 16-bit ones. A few rows read the 16-bit weights directly; for more
/// rows, one slice at a time is widened.
/// </summary>
public static class HalfProduct
{
    /// <summary>Whether weights are stored in 16 bits.</summary>
    /// <param name="weight">The weights.</param>
    public static bool Holds(Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.dtype is ScalarType.BFloat16 or ScalarType.Float16;
    }

    /// <summary>y = x·Wᵀ + b in 32 bits, with gradients for x and b, and for W when it has 32 bits.</summary>
    /// <param name="x">[n, in], 32 bits.</param>
    /// <param name="weight">W [out, in]; frozen when it has 16 bits.</param>
    /// <param name="bias">b [out] in 32 bits, or null.</param>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (FewRows.Takes(x, weight) && FewRows.NeedsNoGradient(x, weight, bias)) return FewRows.Linear(x, weight, bias);
        if (!Holds(weight)) return nn.functional.linear(x, weight, bias);
        var y = x.device_type == DeviceType.CPU && x.Dimensions == 2 ? new Map(weight).Run(x) : PlainLinear(x, weight);
        return bias is null ? y : y + bias;
    }

    /// <summary>Several maps of the same rows, with weights in any form; for a few rows, one job reads all of them.</summary>
    /// <param name="x">[n, in], 32 bits.</param>
    /// <param name="maps">The maps.</param>
    public static Tensor[] Linear(Tensor x, params BlockMap[] maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        foreach (var map in maps)
            if (!FewRows.Takes(x, map) || !FewRows.NeedsNoGradient(x, map) || map.Bias is { } bias && !FastPath.Takes(bias))
                return Array.ConvertAll(
                    maps,
                    each => each.Quantized is { } few ? QuantizedProduct.Linear(x, few, each.Bias) : Linear(x, each.Weight!, each.Bias));
        return FewRows.Linear(x, maps);
    }

    /// <summary>The same in libtorch's operations, all weights widened at once.</summary>
    /// <param name="x">[n, in].</param>
    /// <param name="weight">W [out, in].</param>
    public static Tensor PlainLinear(Tensor x, Tensor weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return nn.functional.linear(x, weight.to(ScalarType.Float32));
    }

    /// <summary>left [n, in] times Wᵀ, written into result [n, out].</summary>
    internal static void Into(Tensor result, Tensor left, Tensor weight)
    {
        if (FewRows.Takes(left, weight) && result.is_contiguous())
        {
            FewRows.Into(result, left, weight, null);
            return;
        }
        ForSlices(weight, (from, size, wide) =>
        {
            using var part = result.narrow(1, from, size);
            using var turned = wide.t();
            LibTorch.MatrixProduct(part, left, turned);
        });
    }

    /// <summary>left [n, out] times W, written into result [n, in].</summary>
    internal static void IntoTransposed(Tensor result, Tensor left, Tensor weight)
    {
        if (!Holds(weight))
        {
            LibTorch.MatrixProduct(result, left, weight);
            return;
        }
        result.zero_();
        ForSlices(weight, (from, size, wide) =>
        {
            using var part = left.narrow(1, from, size);
            result.addmm_(part, wide, 1f, 1f);
        });
    }

    private static void ForSlices(Tensor weight, Action<long, long, Tensor> use)
    {
        using var plain = weight.detach();
        if (!Holds(weight))
        {
            use(0, weight.size(0), plain);
            return;
        }
        Slices.Over(weight.size(0), weight.size(1), (from, size, wide) =>
        {
            using var slice = plain.narrow(0, from, size);
            wide.copy_(slice);
        }, use);
    }

    private sealed class Map(Tensor weight) : Fused
    {
        // The weight may be a transposed view of the model's own, which the block's scope frees before the backward pass.
        private Tensor weight = weight;

        protected internal override int InputCount => 1;

        internal Tensor Run(Tensor x) => Apply(x);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            var result = empty(inputs[0].size(0), weight.size(0));
            if (result.numel() > 0) Into(result, inputs[0], weight);
            weight = SaveForBackward(weight);
            return result;
        }

        protected internal override Tensor?[] Backward(Tensor gradient)
        {
            var result = empty(gradient.size(0), weight.size(1));
            using var dense = gradient.contiguous();
            IntoTransposed(result, dense, weight);
            return [result];
        }
    }
}
