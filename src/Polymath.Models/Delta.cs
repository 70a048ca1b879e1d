using Polymath.Models.Parts;
using static TorchSharp.torch;

namespace Polymath.Models;

/// <summary>A small change of a projection, plugged into its socket: trained while the projection's own weight stays frozen.</summary>
public abstract class Delta
{
    /// <summary>The delta's own weights, under their names in files.</summary>
    public abstract IReadOnlyList<Weight> Weights { get; }

    /// <summary>The projection with the delta: y [tokens, out] of x [tokens, in].</summary>
    /// <param name="map">The projection, its own weights untouched.</param>
    /// <param name="x">The input.</param>
    /// <param name="inner">The projection with the deltas that were plugged in before, b included.</param>
    public abstract Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner);

    /// <summary>Where it applies when not to all rows; null for everywhere.</summary>
    public DeltaPlaces? Places { get; set; }

    /// <summary>Whether the change can be made part of the projection's weights.</summary>
    public virtual bool Merges => true;

    /// <summary>W [out, in] and b [out] of a projection with the change in them.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b, or null.</param>
    /// <exception cref="InvalidOperationException">The change is no linear map's.</exception>
    public virtual (Tensor Weight, Tensor? Bias) Merge(Tensor weight, Tensor? bias) =>
        throw new InvalidOperationException($"{GetType().Name} is not a change of a weight.");

    /// <summary>Whether <see cref="Unmerge"/> knows the way back.</summary>
    public virtual bool Unmerges => false;

    /// <summary>W [out, in] and b [out] as they were before the change was made part of them.</summary>
    /// <param name="weight">W.</param>
    /// <param name="bias">b, or null.</param>
    /// <exception cref="InvalidOperationException">There is no way back.</exception>
    public virtual (Tensor Weight, Tensor? Bias) Unmerge(Tensor weight, Tensor? bias) =>
        throw new InvalidOperationException($"{GetType().Name} cannot be taken out of a weight.");
}

/// <summary>The tokens of a batch that some deltas apply to, shared by all deltas of an adapter.</summary>
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
