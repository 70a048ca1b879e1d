using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Low-rank adaptation of the token vectors: e(t) + s·B·A[:, t]. A starts at zero, B normal. With lengths m it is DoRA: each dimension is
/// scaled, so that over all tokens it has the length m; the old length counts as a constant in the gradient.
/// </summary>
/// <param name="a">A [r, vocabulary].</param>
/// <param name="b">B [width, r].</param>
/// <param name="scale">s.</param>
/// <param name="state">Whether the deltas of the set are on.</param>
/// <param name="table">The token vectors [vocabulary, width].</param>
/// <param name="magnitude">m [width], or null.</param>
public sealed class LoraTokens(
    Weight a,
    Weight b,
    double scale,
    DeltaSwitch state,
    Weight table,
    Weight? magnitude = null) : TokenDelta
{
    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; } = [.. new[] { a, b, magnitude }.OfType<Weight>()];

    /// <summary>Whether the change can be taken out of a table again: DoRA's old lengths are lost.</summary>
    public bool Unmerges => magnitude is null;

    /// <inheritdoc/>
    public override Tensor Change(Tensor ids, Tensor vectors)
    {
        if (!state.On) return vectors;
        var changed = addmm(
            vectors,
            a.Value.t().index_select(0, ids),
            b.Value.t(),
            1f,
            (float)scale);
        return magnitude is null ? changed : changed * Gain(table.Value);
    }

    private Tensor Gain(Tensor vectors)
    {
        Tensor lengths;
        using (no_grad()) lengths = Lengths(vectors);
        return magnitude!.Value / lengths;
    }

    /// <summary>The lengths of the changed table's columns [width].</summary>
    /// <param name="vectors">The table.</param>
    internal Tensor Lengths(Tensor vectors) => Changed(vectors.to(ScalarType.Float32)).norm(0);

    private Tensor Changed(Tensor vectors) => vectors + b.Value.mm(a.Value).t() * scale;

    /// <inheritdoc/>
    public override Tensor Merge(Tensor table) => magnitude is null ? Changed(table) : Changed(table) * Gain(table);

    /// <inheritdoc/>
    public override Tensor? Unmerge(Tensor table) => magnitude is null ? table - b.Value.mm(a.Value).t() * scale : null;
}
