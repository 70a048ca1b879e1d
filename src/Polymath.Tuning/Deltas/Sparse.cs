using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// A sparse change (Sung et al. 2021; Bhardwaj et al. 2024): a few elements of each weight are trained, the rest stays. Which ones is chosen once: the largest of the weight, or any.
/// The changes start at zero.
/// </summary>
public sealed class Sparse : DenseDelta
{
    /// <summary>How our files say it; PEFT's SHiRA has another file.</summary>
    public static DeltaMethod Method { get; } = new(["elements", "choose"], Attach) { SizeKey = "elements" };

    readonly Weight values, rows, columns;
    readonly long output, input;

    Sparse(Weight values, Weight rows, Weight columns, Projection target, DeltaSwitch state)
        : base(state, values) => (this.values, this.rows, this.columns, output, input) = (values, rows, columns, target.OutputWidth, target.InputWidth);

    /// <inheritdoc/>
    public override Tensor Change()
    {
        var places = rows.Value.to(ScalarType.Int64) * input + columns.Value.to(ScalarType.Int64);
        return zeros(output * input).index_copy(0, places, values.Value).view(output, input);
    }

    static void Attach(DeltaParts parts)
    {
        var choose = parts.Configuration.Text("choose") ?? "magnitude";
        if (choose is not ("magnitude" or "random")) throw parts.Fault("choose", "known are \"magnitude\" and \"random\"");
        foreach (var target in parts.Targets)
        {
            long count = Math.Min(parts.Configuration.Whole("elements", 1000), target.OutputWidth * target.InputWidth);
            // Rows and columns are whole numbers below 2^24, which 32-bit floats hold exactly.
            Weight rows = parts.Fixed($"{AdapterConfiguration.Prefix}{target.Name}.sparse_rows", Start.Zero, count), columns = parts.Fixed($"{AdapterConfiguration.Prefix}{target.Name}.sparse_columns", Start.Zero, count);
            if (parts.IsFresh)
            {
                using var frozen = no_grad();
                using var scope = NewDisposeScope();
                var rank = choose == "magnitude" ? target.Matrix().abs().flatten() : tensor(Noise(parts.Seed, target));
                var places = rank.topk((int)count).indexes;
                rows.Assign(places.floor_divide(target.InputWidth).to(ScalarType.Float32));
                columns.Assign(places.remainder(target.InputWidth).to(ScalarType.Float32));
            }
            parts.Plug(target, new Sparse(parts.Weight(target.Name, "sparse_values", Start.Zero, count), rows, columns, target, parts.State));
        }
    }

    static float[] Noise(long seed, Projection target)
    {
        var random = new RandomStream(seed, "sparse " + target.Name);
        var noise = new float[target.OutputWidth * target.InputWidth];
        for (var i = 0; i < noise.Length; i++) noise[i] = (float)random.NextDouble();
        return noise;
    }
}
