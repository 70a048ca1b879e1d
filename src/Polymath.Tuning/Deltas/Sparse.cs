using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// A sparse change (Sung et al. 2021; Bhardwaj et al. 2024): a few elements of each weight are trained, the rest is frozen. They are chosen
/// once: the largest of the weight, random ones, or those with the largest Fisher information on the first rows of the data. The changes
/// start at zero.
/// </summary>
public sealed class Sparse : DenseDelta
{
    /// <summary>The kind's name in our files; PEFT's SHiRA has another file.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Sparse,
        "POLYMATH_SPARSE",
        ["elements", "choose", FisherMask.RowsKey],
        Attach)
    {
        SizeKey = "elements",
        Idle = [IdleSetting.Unless("fisher_rows", "choose", "fisher")],
    };

    private readonly Weight values;
    private readonly Func<Tensor> places;
    private readonly long output, input;

    /// <summary>A change of a projection.</summary>
    /// <param name="values">The changes [n].</param>
    /// <param name="places">Returns their places among the weight's elements, row by row [n], 64-bit.</param>
    /// <param name="target">The projection.</param>
    /// <param name="state">Whether the deltas of the set are on.</param>
    internal Sparse(Weight values, Func<Tensor> places, Projection target, DeltaSwitch state)
        : base(state, values) => (this.values, this.places, output, input) = (values, places, target.OutputWidth, target.InputWidth);

    /// <inheritdoc/>
    public override Tensor Change() => zeros(output * input).index_copy(0, places(), values.Value).view(output, input);

    private static void Attach(DeltaParts parts)
    {
        var choose = parts.Configuration.Text("choose") ?? "magnitude";
        Check(parts, "choose", choose);
        var targets = parts.Targets.Select(target =>
            (Target: target, Count: Math.Min((long)parts.Configuration.Whole("elements", 1000), target.OutputWidth * target.InputWidth)))
            .ToList();
        foreach (var (target, wanted) in targets)
        {
            // When elements are chosen from all maps together, a map may have more elements than another, or none.
            var count = parts.ShapeOf(target.Name, "sparse_values") is [var held] ? held : wanted;
            // Rows and columns are integers below 2^24, which 32-bit floats represent exactly.
            Weight rows = parts.Fixed($"{AdapterConfiguration.Prefix}{target.Name}.sparse_rows", Start.Zero, count),
                columns = parts.Fixed($"{AdapterConfiguration.Prefix}{target.Name}.sparse_columns", Start.Zero, count);
            if (parts.IsFresh)
            {
                using var frozen = no_grad();
                using var scope = NewDisposeScope();
                var (row, column) = Split(Chosen(parts, target, choose, count), target);
                rows.Assign(row);
                columns.Assign(column);
            }
            var values = parts.Weight(target.Name, "sparse_values", Start.Zero, count);
            parts.Plug(target, new Sparse(
                values,
                () => rows.Value.to(ScalarType.Int64) * target.InputWidth + columns.Value.to(ScalarType.Int64),
                target,
                parts.State));
        }
        if (!parts.IsFresh || choose != "fisher") return;
        parts.Follow(new FisherMask(parts, targets, together: true, (content, target, places) =>
        {
            var name = AdapterConfiguration.Prefix + target.Name;
            var (row, column) = Split(places, target);
            (content[name + ".sparse_rows"], content[name + ".sparse_columns"], content[name + ".sparse_values"]) =
                (row.to(ScalarType.Float32), column.to(ScalarType.Float32), zeros(places.numel()));
        }));
    }

    /// <summary>Throws when a way to choose elements is not known.</summary>
    internal static void Check(DeltaParts parts, string key, string choose)
    {
        if (choose is not ("magnitude" or "random" or "fisher"))
            throw parts.Fault(key, "known are \"magnitude\", \"random\" and \"fisher\"");
    }

    /// <summary>The rows and columns of places.</summary>
    internal static (Tensor Rows, Tensor Columns) Split(Tensor places, Projection target) =>
        (places.floor_divide(target.InputWidth), places.remainder(target.InputWidth));

    /// <summary>The places of the elements that are chosen before data is seen [n], in order.</summary>
    internal static Tensor Chosen(DeltaParts parts, Projection target, string choose, long count)
    {
        var rank = choose == "random" ? tensor(Noise(parts.Seed, target)) : target.Matrix().abs().flatten();
        return rank.topk((int)count).indexes.sort().Values;
    }

    private static float[] Noise(long seed, Projection target)
    {
        var random = new RandomStream(seed, "sparse " + target.Name);
        var noise = new float[target.OutputWidth * target.InputWidth];
        for (var i = 0; i < noise.Length; i++) noise[i] = (float)random.NextDouble();
        return noise;
    }
}
