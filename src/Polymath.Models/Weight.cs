using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// A named tensor of a model. The name is the one Hugging Face's files use. The tensor may be replaced (moved, mapped from a file) while
/// parts of the model hold the weight.
/// </summary>
public sealed class Weight
{
    /// <summary>A weight that is not trained yet.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="value">The tensor; the weight owns it from here on, independent of the scope it was made in.</param>
    public Weight(string name, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        Name = name;
        Value = value.DetachFromDisposeScope();
        FileType = value.dtype;
    }

    /// <summary>The name in files, such as <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    public string Name { get; }

    /// <summary>The tensor.</summary>
    /// <exception cref="InputException">The weight is quantized.</exception>
    public Tensor Value
    {
        get => value
            ?? throw new InputException($"{Name} is stored in {Quantized?.Form.ToString().ToLowerInvariant()}, so it has no tensor "
                + "of its own. Use a base in 32 or 16 bits here (base: float32 or bfloat16).");
        private set => (this.value, Shape) = (value, value.shape);
    }

    private Tensor? value;

    /// <summary>The shape, whatever form the values are stored in.</summary>
    public IReadOnlyList<long> Shape { get; private set; } = [];

    /// <summary>The quantized values, as [out, in]; null when they are a tensor.</summary>
    public QuantizedMatrix? Quantized { get; private set; }

    /// <summary>The model's own values while an adapter has replaced them; null otherwise. The one who set it owns it.</summary>
    public Tensor? Before { get; set; }

    private bool transposed;

    /// <summary>Quantizes the values; they are frozen from here on.</summary>
    /// <param name="form">The form.</param>
    /// <param name="turned">Whether the weight is stored as [in, out].</param>
    public void Quantize(QuantizedForm form, bool turned = false)
    {
        if (Quantized?.Form == form) return;
        using var frozen = no_grad();
        using var numbers = Quantized is null ? Value.detach() : Wide();
        using var matrix = turned ? numbers.t().contiguous() : numbers.alias();
        var rounded = QuantizedMatrix.Of(matrix, form);
        Free();
        (value, Quantized, transposed, FileType) = (null, rounded, turned, ScalarType.Float32);
    }

    /// <summary>Rounds the values to a type and stores them in it.</summary>
    /// <param name="type">32 bits, or 16 of either kind.</param>
    public void Convert(ScalarType type)
    {
        if (value?.dtype == type) return;
        using var frozen = no_grad();
        using var numbers = Wide();
        var held = numbers.to(type, copy: true).DetachFromDisposeScope();
        Free();
        (Value, FileType) = (held, type);
    }

    /// <summary>The values in 32 bits, in whatever form they are stored, as a new tensor.</summary>
    public Tensor Wide()
    {
        if (Quantized is null) return Value.detach().to(ScalarType.Float32);
        using var matrix = Quantized.Wide();
        return transposed ? matrix.t().contiguous() : matrix.alias();
    }

    /// <summary>The number of bytes that the weight uses.</summary>
    public long Bytes => Quantized?.Bytes ?? Value.numel() * Value.element_size();

    /// <summary>Frees the values; the weight must not be used any more.</summary>
    public void Free()
    {
        value?.Dispose();
        Quantized?.Dispose();
        Quantized = null;
    }

    /// <summary>The type that holds the weight's values exactly: the file's type while nothing has changed them, then 32 bits.</summary>
    public ScalarType FileType { get; private set; }

    /// <summary>Converts the values to 32 bits; from 16 bits this is exact.</summary>
    public void Widen()
    {
        if (value?.dtype == ScalarType.Float32) return;
        using var frozen = no_grad();
        var wide = Wide().DetachFromDisposeScope();
        Free();
        Value = wide;
    }

    /// <summary>Whether the weight is no parameter: it is stored with the model but never trained (a buffer in PyTorch).</summary>
    public bool IsFixed { get; internal set; }

    /// <summary>Whether the optimizer updates the weight. A trained weight is stored in 32 bits.</summary>
    public bool Trainable
    {
        get => value?.requires_grad ?? false;
        set
        {
            if (Quantized is { } held)
            {
                if (value)
                    throw new InputException($"{Name} is stored in {held.Form.ToString().ToLowerInvariant()} and cannot be trained: "
                        + "quantized values are frozen. Train a delta on it (kind: lora, or delta), or use a base in 32 or 16 bits.");
                return;
            }
            if (IsFixed) return;
            if (value)
            {
                Widen();
                FileType = ScalarType.Float32;
            }
            Value.requires_grad_(value);
        }
    }

    /// <summary>The number of elements.</summary>
    public long Count => Shape.Aggregate(1L, (a, b) => a * b);

    /// <summary>Changes the elements in place, keeping the tensor.</summary>
    /// <param name="value">The new elements, of the same shape.</param>
    public void Assign(Tensor value)
    {
        using var frozen = no_grad();
        Widen();
        FileType = ScalarType.Float32;
        Value.copy_(value);
    }

    /// <summary>Changes one part of a stack in place.</summary>
    /// <param name="value">The part's new elements.</param>
    /// <param name="part">Its number in the first dimension.</param>
    public void Assign(Tensor value, int part)
    {
        using var frozen = no_grad();
        Widen();
        FileType = ScalarType.Float32;
        Value.select(0, part).copy_(value);
    }

    /// <summary>One part of a stack, with its gradient.</summary>
    /// <param name="part">Its number in the first dimension.</param>
    public Tensor Part(int part) => parts?[part] ?? Value.select(0, part);

    private Tensor[]? parts;

    /// <summary>
    /// Until the result is disposed, a stack that is being trained is cut once for all its parts, so that its gradient is put together
    /// once; one part alone would have a gradient as large as the stack.
    /// </summary>
    internal IDisposable? Cut()
    {
        if (!Trainable || !is_grad_enabled()) return null;
        parts = Value.unbind(0);
        return new Uncut(this);
    }

    private sealed class Uncut(Weight stack) : IDisposable
    {
        public void Dispose() => stack.parts = null;
    }

    /// <summary>Replaces the tensor and frees the old one.</summary>
    /// <param name="value">The new tensor, of the same shape.</param>
    public void Exchange(Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var trainable = Trainable;
        Value.Dispose();
        Value = value.DetachFromDisposeScope();
        FileType = value.dtype;
        Trainable = trainable;
    }

    /// <summary>Replaces the tensor by another of the same shape and returns the old one.</summary>
    /// <param name="value">The new tensor.</param>
    public Tensor Swap(Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var old = Value;
        Value = value.DetachFromDisposeScope();
        return old;
    }

    /// <summary>Clears the gradient.</summary>
    public void ClearGradient()
    {
        using var gradient = Value.grad;
        if (gradient is not null) Value.grad = null;
    }
}
