using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>The forms of frozen weights with fewer than 16 bits.</summary>
public enum QuantizedForm
{
    /// <summary>
    /// 4 bits per value, the levels of a normal distribution (Dettmers et al. 2023), with scales that are quantized themselves.
    /// </summary>
    Nf4,

    /// <summary>8 bits per value, one scale per output.</summary>
    Int8,
}

/// <summary>
/// A frozen, quantized matrix W [out, in]. It stands for a matrix of 32-bit values, which are the same in all computations: products of a
/// few rows read the codes themselves, products of more rows decode one slice at a time, and the plain formula decodes the whole matrix.
/// </summary>
public abstract unsafe class QuantizedMatrix : IDisposable
{
    private readonly Tensor[] parts;

    /// <summary>A matrix of a size.</summary>
    /// <param name="rows">out.</param>
    /// <param name="columns">in.</param>
    /// <param name="parts">Its tensors; it owns them from here on.</param>
    private protected QuantizedMatrix(long rows, long columns, params Tensor[] parts)
    {
        (Rows, Columns, this.parts) = (rows, columns, parts);
        foreach (var part in parts) part.DetachFromDisposeScope();
    }

    /// <summary>The form.</summary>
    public abstract QuantizedForm Form { get; }

    /// <summary>The width it maps to.</summary>
    public long Rows { get; }

    /// <summary>The width it maps from.</summary>
    public long Columns { get; }

    /// <summary>The number of bytes it uses.</summary>
    public long Bytes => parts.Sum(part => part.numel() * part.element_size());

    /// <summary>Its device.</summary>
    public Device Device => parts[0].device;

    /// <summary>Quantizes a matrix to a form.</summary>
    /// <param name="weight">W [out, in], of 32 or 16 bits.</param>
    /// <param name="form">The form.</param>
    public static QuantizedMatrix Of(Tensor weight, QuantizedForm form)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        return form == QuantizedForm.Nf4 ? Nf4Matrix.Of(weight) : Int8Matrix.Of(weight);
    }

    /// <summary>The decoded values, [out, in] in 32 bits, computed by the kernel.</summary>
    public Tensor Wide() => Device.type == DeviceType.CPU ? Wide(0, Rows) : Plain();

    /// <summary>Some rows of the decoded values, [count, in] in 32 bits; on a CPU.</summary>
    /// <param name="from">The first row.</param>
    /// <param name="count">The number of rows.</param>
    public Tensor Wide(long from, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from + count, Rows);
        var result = empty(count, Columns);
        if (result.numel() > 0) Widen(from, count, result);
        return result;
    }

    /// <summary>The same in libtorch's operations, on any device.</summary>
    public abstract Tensor Plain();

    /// <summary>Writes a slice of decoded rows in 32 bits.</summary>
    /// <param name="from">The first row.</param>
    /// <param name="count">The number of rows.</param>
    /// <param name="wide">[count, in].</param>
    internal abstract void Widen(long from, long count, Tensor wide);

    /// <summary>Whether a product of a few rows can read the codes.</summary>
    internal abstract bool TakesFewRows { get; }

    /// <summary>The map for a product of a few rows.</summary>
    internal abstract FewRows.Map Map(float* bias, float* y, bool adds);

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        foreach (var part in parts) part.Dispose();
        GC.SuppressFinalize(this);
    }
}
