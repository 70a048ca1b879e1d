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
    }

    /// <summary>The name in files, such as <c>model.layers.0.self_attn.q_proj.weight</c>.</summary>
    public string Name { get; }

    /// <summary>The tensor.</summary>
    public Tensor Value { get; private set; }

    /// <summary>Whether the optimizer moves the weight.</summary>
    public bool Trainable
    {
        get => Value.requires_grad;
        set => Value.requires_grad_(value);
    }

    /// <summary>The number of elements.</summary>
    public long Count => Value.numel();

    /// <summary>Changes the elements in place, keeping the tensor.</summary>
    /// <param name="value">The new elements, of the same shape.</param>
    public void Assign(Tensor value)
    {
        using var frozen = no_grad();
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
        Trainable = trainable;
    }

    /// <summary>Forgets the gradient.</summary>
    public void ClearGradient()
    {
        using var gradient = Value.grad;
        if (gradient is not null) Value.grad = null;
    }
}
