using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// A matrix in 8 bits: each output's weights are integers from −127 to 127 times its scale, which is the largest absolute value over 127.
/// These are the row-wise weights of LLM.int8 (Dettmers et al. 2022). Inputs stay in 32 bits, so outliers need no special treatment.
/// </summary>
public sealed unsafe class Int8Matrix : QuantizedMatrix
{
    private readonly Tensor codes, scales;

    private Int8Matrix(Tensor codes, Tensor scales)
        : base(codes.size(0), codes.size(1), codes, scales) => (this.codes, this.scales) = (codes, scales);

    /// <inheritdoc/>
    public override QuantizedForm Form => QuantizedForm.Int8;

    /// <summary>The integers [out, in].</summary>
    public Tensor Codes => codes;

    /// <summary>The scale of each output [out].</summary>
    public Tensor Scales => scales;

    /// <summary>Quantizes a matrix.</summary>
    internal static Int8Matrix Of(Tensor weight)
    {
        long rows = weight.size(0), columns = weight.size(1), most = Math.Max(1, (1 << 18) / Math.Max(1, columns));
        Tensor codes = empty(rows, columns, dtype: ScalarType.Int8, device: weight.device), scales = empty(rows, device: weight.device);
        for (long from = 0; from < rows; from += most)
        {
            using var scope = NewDisposeScope();
            var size = Math.Min(most, rows - from);
            var wide = weight.detach().narrow(0, from, size).to(ScalarType.Float32, copy: true);
            var largest = maximum(wide.amax(1), -wide.amin(1));
            scales.narrow(0, from, size).copy_(largest / 127);
            // A row of zeros has no scale to divide by.
            codes.narrow(0, from, size).copy_(wide.mul_((127 / largest.clamp(min: 1e-30f)).unsqueeze(1)).round_().clamp_(-127, 127));
        }
        return new Int8Matrix(codes, scales);
    }

    /// <inheritdoc/>
    public override Tensor Plain()
    {
        using var frozen = no_grad();
        return codes.to(ScalarType.Float32).mul_(scales.unsqueeze(1));
    }

    /// <inheritdoc/>
    internal override bool TakesFewRows => Device.type == DeviceType.CPU;

    /// <inheritdoc/>
    internal override FewRows.Map Map(float* bias, float* y, bool adds) =>
        new()
        {
            Y = y, Bias = bias, Weight = LibTorch.Data(codes), Output = (int)Rows, Type = ScalarType.Int8,
            RowScales = (float*)LibTorch.Data(scales), Adds = adds,
        };

    /// <inheritdoc/>
    internal override void Widen(long from, long count, Tensor wide)
    {
        var state = new WidenState
        {
            Codes = (sbyte*)LibTorch.Data(codes) + from * Columns, Scales = (float*)LibTorch.Data(scales) + from, Width = (int)Columns,
            To = (float*)LibTorch.Data(wide),
        };
        Team.For(count, Math.Max(1, 16384 / Math.Max(1, Columns)), &Widen, &state);
        GC.KeepAlive(this);
        GC.KeepAlive(wide);
    }

    private struct WidenState
    {
        internal sbyte* Codes;
        internal float* Scales, To;
        internal int Width;
    }

    private static void Widen(long begin, long end, void* context)
    {
        ref var s = ref *(WidenState*)context;
        for (var row = begin; row < end; row++)
        {
            var from = s.Codes + row * s.Width;
            var to = s.To + row * s.Width;
            var scale = s.Scales[row];
            var i = 0;
            for (; i <= s.Width - 16; i += 16) (FewRows.Small.Load(from + i) * Vector512.Create(scale)).Store(to + i);
            for (; i < s.Width; i++) to[i] = from[i] * scale;
        }
    }
}
