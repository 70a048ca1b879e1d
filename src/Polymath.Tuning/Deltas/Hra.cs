using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Householder reflection adaptation (Yuan et al. 2024): W' = W·H₁⋯H_r, H = I − 2uuᵀ/uᵀu. Reflections start as equal pairs,
/// which cancel. With Gram-Schmidt, the vectors are orthogonalized first.
/// </summary>
public sealed class Hra : OrthogonalDelta
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Hra,
        "HRA",
        ["r", "apply_GS", "init_weights", "bias"],
        Attach)
    {
        HasBias = true,
        Idle = [IdleSetting.OneStart()],
    };

    private readonly Weight vectors;
    private readonly bool orthogonal;

    private Hra(Weight vectors, bool orthogonal, DeltaSwitch state)
        : base(state, vectors) => (this.vectors, this.orthogonal) = (vectors, orthogonal);

    /// <inheritdoc/>
    protected override Tensor Rotate(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        // For a row x, W·H₁⋯H_r means x·(H₁⋯H_r)ᵀ = x·H_r⋯H₁ first.
        var units = Units();
        if (orthogonal)
        {
            var all = stack(units, 1);
            return x - x.mm(all).mm(all.t()) * 2;
        }
        for (var i = units.Count - 1; i >= 0; i--) x = x - x.mm(units[i].unsqueeze(1)) * units[i] * 2;
        return x;
    }

    private List<Tensor> Units()
    {
        var units = new List<Tensor>();
        for (var i = 0; i < vectors.Value.size(1); i++)
        {
            var u = vectors.Value.select(1, i);
            if (orthogonal) foreach (var before in units) u = u - before.dot(u) * before;
            units.Add(u / u.norm());
        }
        return units;
    }

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var rank = configuration.Whole("r", 8);
        if (rank % 2 != 0 && parts.IsFresh)
            throw configuration.Fault("r", "an even number is needed, so that the reflections begin as pairs that cancel");
        foreach (var target in parts.Targets)
        {
            var vectors = parts.Weight(
                target.Name,
                "hra_u",
                Start.Kaiming(rank),
                target.InputWidth,
                rank);
            // For the second vector of an equal pair, Gram-Schmidt leaves zero or noise, which has no usable direction. There, each vector
            // starts on its own.
            if (parts.IsFresh && !configuration.Flag("apply_GS"))
            {
                // Column 2i + 1 is column 2i.
                using var scope = NewDisposeScope();
                vectors.Assign(vectors.Value.index_select(1, tensor(Enumerable.Range(0, rank).Select(i => (long)(i / 2 * 2)).ToArray())));
            }
            parts.Plug(target, new Hra(vectors, configuration.Flag("apply_GS"), parts.State));
        }
    }
}
