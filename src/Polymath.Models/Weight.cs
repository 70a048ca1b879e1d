using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// A named tensor of a model. The name is the one Hugging Face's files use. The tensor may be exchanged (moved, mapped from a file) while
/// parts hold the weight.
/// </summary>
public sealed class Weight
{
    /// <summary>A weight that is not trained yet.</summary>
    /// <param name="name">The name in files.</param>
    /// <param name="value">The tensor; the weight owns it from here on, whatever scope it was made in.</param>
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
    /// <exception cref="InputException">The weight is held in few bits.</exception>
    public Tensor Value
    {
        get => value
            ?? throw new InputException($"{Name} is held in {Quantized?.Form.ToString().ToLowerInvariant()}, so that it is no tensor of "
                + "numbers. What needs its numbers as they are takes a base in 32 or 16 bits (base: float32 or bfloat16).");
        private set => (this.value, Shape) = (value, value.shape);
    }

    private Tensor? value;

    /// <summary>The shape of its numbers, however they are held.</summary>
    public IReadOnlyList<long> Shape { get; private set; } = [];

    /// <summary>The numbers in few bits, as [out, in]; null where they are a tensor.</summary>
    public QuantizedMatrix? Quantized { get; private set; }

    /// <summary>The model's own numbers while an adapter has put others in their place; null otherwise. Whoever set it owns it.</summary>
    public Tensor? Before { get; set; }

    private bool transposed;

    /// <summary>Holds the numbers in few bits from here on: they are rounded, and frozen.</summary>
    /// <param name="form">The form.</param>
    /// <param name="turned">Whether the weight is held as [in, out].</param>
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

    /// <summary>Rounds the numbers to a type and holds them in it.</summary>
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

    /// <summary>The numbers in 32 bits, however they are held; a tensor of its own.</summary>
    public Tensor Wide()
    {
        if (Quantized is null) return Value.detach().to(ScalarType.Float32);
        using var matrix = Quantized.Wide();
        return transposed ? matrix.t().contiguous() : matrix.alias();
    }

    /// <summary>The bytes the weight is held in.</summary>
    public long Bytes => Quantized?.Bytes ?? Value.numel() * Value.element_size();

    /// <summary>Frees what the weight is held in; it must not be used any more.</summary>
    public void Free()
    {
        value?.Dispose();
        Quantized?.Dispose();
        Quantized = null;
    }

    /// <summary>The type that holds the weight's numbers exactly: the file's while nothing has changed them, then 32 bits.</summary>
    public ScalarType FileType { get; private set; }

    /// <summary>Holds the numbers in 32 bits from here on; what was of 16 bits becomes so exactly.</summary>
    public void Widen()
    {
        if (value?.dtype == ScalarType.Float32) return;
        using var frozen = no_grad();
        var wide = Wide().DetachFromDisposeScope();
        Free();
        Value = wide;
    }

    /// <summary>Whether the optimizer moves the weight. One that is to be trained is held in 32 bits.</summary>
    public bool Trainable
    {
        get => value?.requires_grad ?? false;
        set
        {
            if (Quantized is { } held)
            {
                if (value)
                    throw new InputException($"{Name} is held in {held.Form.ToString().ToLowerInvariant()} and cannot be trained: what is "
                        + "rounded stays frozen. Train a delta on it (kind: lora, or delta), or take a base in 32 or 16 bits.");
                return;
            }
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

    /// <summary>Exchanges the tensor and frees the old one.</summary>
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

    /// <summary>Exchanges the tensor for another of the same shape and gives the old one back.</summary>
    /// <param name="value">The new tensor.</param>
    public Tensor Swap(Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var old = Value;
        Value = value.DetachFromDisposeScope();
        return old;
    }

    /// <summary>Forgets the gradient.</summary>
    public void ClearGradient()
    {
        using var gradient = Value.grad;
        if (gradient is not null) Value.grad = null;
    }
}
