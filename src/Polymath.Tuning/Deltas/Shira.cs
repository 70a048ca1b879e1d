using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Sparse high-rank adapters (Bhardwaj et al. 2024) in PEFT's file: r·(in + out) elements of each weight are trained, as many as a LoRA of
/// rank r has. PEFT chooses them at random; here they may also be the largest (<c>mask_type: magnitude</c>) or those of the largest Fisher
/// information (<c>fisher</c>): the file holds their places, so PEFT can read it.
/// </summary>
public static class Shira
{
    /// <summary>The kind's name in PEFT's files.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Shira,
        "SHIRA",
        ["r", "mask_type", "random_seed", "init_weights", FisherMask.RowsKey],
        Attach)
    {
        HasLayers = false,
        Idle =
        [
            IdleSetting.Always("random_seed", "the recipe's seed chooses the mask; leave it out"),
            IdleSetting.Unless("fisher_rows", "mask_type", "fisher"),
        ],
    };

    private static void Attach(DeltaParts parts)
    {
        var configuration = parts.Configuration;
        var choose = configuration.Text("mask_type") ?? "random";
        if (parts.IsFresh) Sparse.Check(parts, "mask_type", choose);
        var rank = configuration.Whole("r", 32);
        var targets = parts.Targets.Select(target => (Target: target, Count: rank * (target.OutputWidth + target.InputWidth))).ToList();
        foreach (var (target, count) in targets)
        {
            if (count > target.OutputWidth * target.InputWidth)
                throw new InputException($"{configuration.Origin}: r {rank} asks for {count} elements of {target.Name}, which has "
                    + $"{target.OutputWidth * target.InputWidth}. Lower r.");
            var indices = parts.Fixed($"{AdapterConfiguration.Prefix}{target.Name}.shira_indices", Start.Zero, 2, count);
            if (parts.IsFresh)
            {
                using var frozen = no_grad();
                using var scope = NewDisposeScope();
                indices.Assign(Indices(Sparse.Chosen(parts, target, choose, count), target));
            }
            var values = parts.Weight(
                target.Name, "shira_weight", configuration.Flag("init_weights", true) ? Start.Zero : Start.Normal(1), count);
            parts.Plug(target, new Sparse(
                values,
                () => indices.Value[0].to(ScalarType.Int64) * target.InputWidth + indices.Value[1].to(ScalarType.Int64),
                target,
                parts.State));
        }
        void Write(Dictionary<string, Tensor> content, Projection target, Tensor places)
        {
            content[$"{AdapterConfiguration.Prefix}{target.Name}.shira_indices"] = Indices(places, target);
            // The places are known from here on; PEFT would warn about the key for the number of rows, so it is removed.
            configuration.Remove(FisherMask.RowsKey);
        }

        parts.Follow(parts.IsFresh && choose == "fisher" ? new FisherMask(parts, targets, together: false, Write) : new WholeNumbers());
    }

    // PEFT stores places as 32-bit integers.
    private static Tensor Indices(Tensor places, Projection target)
    {
        var (rows, columns) = Sparse.Split(places, target);
        return stack([rows, columns], 0).to(ScalarType.Int32);
    }

    private sealed class WholeNumbers : DeltaCourse
    {
        public override void Saving(Dictionary<string, Tensor> content)
        {
            foreach (var name in content.Keys.Where(name => name.EndsWith(".shira_indices", StringComparison.Ordinal)).ToList())
                content[name] = content[name].to(ScalarType.Int32);
        }
    }
}
