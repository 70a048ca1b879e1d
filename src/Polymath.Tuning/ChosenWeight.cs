using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// One of the model's own weights that an adapter trains. Its old value is kept, so that the adapter can be switched off and detached.
/// </summary>
internal sealed class ChosenWeight
{
    private Tensor? other;
    private bool isOther;

    internal ChosenWeight(string name, Weight weight, Tensor? value, bool trained)
    {
        (Name, Weight, Trained) = (name, weight, trained);
        weight.Widen();
        using var frozen = no_grad();
        other = weight.Value.detach().clone().DetachFromDisposeScope();
        if (value is not null) weight.Assign(value);
        else weight.Assign(other);
        weight.Before = other;
    }

    internal string Name { get; }

    internal Weight Weight { get; }

    internal bool Trained { get; }

    /// <summary>Exchanges the trained values and the base's.</summary>
    internal void Swap()
    {
        other = Weight.Swap(other!);
        isOther = !isOther;
        Weight.Before = isOther ? null : other;
    }

    /// <summary>Makes the trained values the model's own.</summary>
    internal void Keep()
    {
        Weight.Before = null;
        other?.Dispose();
        other = null;
    }

    internal void Restore()
    {
        if (other is null) return;
        if (!isOther) Swap();
        Keep();
    }
}
