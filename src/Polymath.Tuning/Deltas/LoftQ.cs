using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Initializes low-rank factors so that they compensate the base's quantization error (Li et al. 2023, algorithm 1): alternately, Q = NF4(W
/// − s·BA), and s·BA is the best product of its rank for W − Q. PEFT ignores s, so with s ≠ 1 its start is wrong; here the factors
/// are divided by s.
/// </summary>
internal static class LoftQ
{
    /// <summary>Quantizes a projection's weight and sets the factors.</summary>
    /// <param name="configuration">The settings: <c>loftq_config</c> with <c>loftq_bits</c> (4) and <c>loftq_iter</c> (1 when left
    /// out).</param>
    /// <param name="target">The projection; its base is stored in NF4 afterwards.</param>
    /// <param name="a">A [r, in].</param>
    /// <param name="b">B [out, r].</param>
    /// <param name="scale">s.</param>
    internal static void Start(
        AdapterConfiguration configuration,
        Projection target,
        Weight a,
        Weight b,
        double scale)
    {
        if (target.Weight.Quantized is { } held)
            throw new InputException($"LoftQ starts from the full weights, and {target.Name} is stored in "
                + $"{held.Form.ToString().ToLowerInvariant()} already. Open the model without --base; LoftQ quantizes it to nf4 itself.");
        var turns = Settings(configuration);
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        Tensor weight = target.Matrix(), rest = weight;
        for (var turn = 0; turn < turns; turn++)
        {
            using (var rounded = QuantizedMatrix.Of(rest, QuantizedForm.Nf4))
            {
                var (u, s, v) = linalg.svd(weight - rounded.Wide(), fullMatrices: false);
                var rank = a.Shape[0];
                var root = s.narrow(0, 0, rank).sqrt();
                a.Assign(v.narrow(0, 0, rank) * root.unsqueeze(1));
                b.Assign(u.narrow(1, 0, rank) * root / scale);
            }
            if (turn + 1 < turns) rest = weight - b.Value.mm(a.Value) * scale;
        }
        target.Assign(rest, null);
        target.Weight.Quantize(QuantizedForm.Nf4, target.Transposed);
    }

    private static int Settings(AdapterConfiguration configuration)
    {
        if (configuration.Parts("loftq_config") is not { Count: > 0 } given) return 1;
        foreach (var (key, _) in given)
            if (key is not ("loftq_bits" or "loftq_iter"))
                throw configuration.Fault("loftq_config", $"{key} is not known; known are loftq_bits and loftq_iter");
        if (given["loftq_bits"] is JsonValue bits && bits.ToString() != "4")
            throw configuration.Fault("loftq_config", "loftq_bits is 4 here");
        if (given["loftq_iter"] is not { } turns) return 1;
        return int.TryParse(turns.ToString(), out var count) && count is > 0 and <= 100
            ? count
            : throw configuration.Fault("loftq_config", "loftq_iter is a whole number from 1 to 100");
    }
}
