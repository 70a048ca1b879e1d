using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>
/// A named tensor of a model. The name is the one Hugging Face's files use. The tensor may be exchanged (moved, mapped from a file) while parts hold the weight.
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
    public Tensor Value { get; private set; }

    /// <summary>The type that holds the weight's numbers exactly: the file's while nothing has changed them, then 32 bits.</summary>
    public ScalarType FileType { get; private set; }

    /// <summary>Holds the numbers in 32 bits from here on; what was of 16 bits becomes so exactly.</summary>
    public void Widen()
    {
        if (Value.dtype == ScalarType.Float32) return;
        var narrow = Value;
        Value = narrow.to(ScalarType.Float32).DetachFromDisposeScope();
        narrow.Dispose();
    }

    /// <summary>Whether the optimizer moves the weight. One that is to be trained is held in 32 bits.</summary>
    public bool Trainable
    {
        get => Value.requires_grad;
        set
        {
            if (value)
            {
                Widen();
                FileType = ScalarType.Float32;
            }
            Value.requires_grad_(value);
        }
    }

    /// <summary>The number of elements.</summary>
    public long Count => Value.numel();

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
