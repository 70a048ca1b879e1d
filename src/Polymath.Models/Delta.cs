using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>A small change of a projection, attached to its socket. It is trained while the projection's own weight is frozen.</summary>
public abstract class Delta
{
    /// <summary>The delta's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>The projection with the delta: y [tokens, out] of x [tokens, in].</summary>
    /// <param name="map">The projection, with its own weights unchanged.</param>
    /// <param name="x">The input.</param>
    /// <param name="inner">The projection with the deltas that were attached before, b included.</param>
    public abstract Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner);

    /// <summary>The tokens it applies to; null for all.</summary>
    public DeltaPlaces? Places { get; set; }

    /// <summary>Whether the change can be merged into the projection's weights.</summary>
    public virtual bool Merges => true;

    /// <summary>W [out, in] and b [out] of a projection with the change in them.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b, or null.</param>
    /// <exception cref="InvalidOperationException">The change is not a change of a weight.</exception>
    public virtual (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias) =>
        throw new InvalidOperationException($"{GetType().Name} is not a change of a weight.");

    /// <summary>Whether <see cref="Unmerge"/> is possible.</summary>
    public virtual bool Unmerges => false;

    /// <summary>W [out, in] and b [out] from before the change was merged.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b, or null.</param>
    /// <exception cref="InvalidOperationException">The change cannot be taken out.</exception>
    public virtual (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias) =>
        throw new InvalidOperationException($"{GetType().Name} cannot be taken out of a weight.");
}

/// <summary>The tokens of a batch that an adapter's deltas apply to; all deltas of an adapter share it.</summary>
public sealed class DeltaPlaces
{
    /// <summary>The tokens' places in the batch, 64-bit; null for all of them.</summary>
    public Tensor? Tokens { get; set; }
}

/// <summary>A delta that adds a matrix to the weight: y = inner(x) + x·ΔWᵀ.</summary>
public abstract class AddedDelta : Delta
{
    /// <summary>ΔW [out, in], with a gradient.</summary>
    public abstract Tensor Change();

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias) => (weight + Change(), bias);

    /// <inheritdoc/>
    public override bool Unmerges => true;

    /// <inheritdoc/>
    public override (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias) => (weight - Change(), bias);
}
