using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>How the two matrices of a LoRA start: <c>init_lora_weights</c>.</summary>
internal static class LoraStart
{
    internal static string Of(AdapterConfiguration configuration) =>
        configuration.Raw("init_lora_weights")?.ToString().ToLowerInvariant() ?? "true";

    // Whether the factors start as a part of the weight, which is subtracted.
    internal static bool IsAnchored(AdapterConfiguration configuration) =>
        configuration.Type == "LORA" && IsAnchored(Of(configuration));

    internal static bool IsAnchored(string start) =>
        start == "olora" || start == "pissa" || start.StartsWith("pissa_niter_", StringComparison.Ordinal);

    // The initial values of A and B; the rest is derived from them.
    internal static (Start A, Start B) Draws(string start, int rank, long input) => start switch
    {
        "gaussian" => (Start.Normal(1.0 / rank), Start.Zero),
        "orthogonal" => (Start.Normal(1), Start.Normal(1)),
        "mica" => (Start.Zero, Start.Zero),
        "false" => (Start.Kaiming(input), Start.Kaiming(rank)),
        _ => (Start.Kaiming(input), Start.Zero),
    };

    internal static void Begin(Weight weight, Func<Tensor> value)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        weight.Assign(value());
    }

    // A and B come from the two halves of an orthogonal matrix's rows, so their product is zero but neither is zero.
    internal static void Orthogonal(DeltaParts parts, Projection target, Weight a, Weight b)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        long rank = a.Shape[0], half = rank / 2;
        if (rank % 2 != 0) throw parts.Fault("r", $"\"orthogonal\" needs an even rank, and {target.Name} has {rank}");
        var (turn, _) = linalg.qr(
            tensor(Start.Normal(1).Draw(rank * rank, new RandomStream(parts.Seed, target.Name + ".orthogonal")), rank, rank));
        var halves = turn.view(half, 2, rank);
        a.Assign(halves.select(1, 0).t().mm(a.Value.narrow(0, 0, half)) / 10);
        b.Assign(b.Value.narrow(1, 0, half).mm(halves.select(1, 1)) / 10);
    }

    // B starts as the output directions that a weight [out, in] uses least and stays fixed; A is learned (MiCA).
    internal static Tensor Least(Tensor weight, int rank)
    {
        var (u, _, _) = linalg.svd(weight, fullMatrices: false);
        return u.narrow(1, u.size(1) - rank, rank);
    }

    // The factors start as the principal part of the weight (PiSSA: Meng et al. 2024, by its singular values) or as an orthonormal part
    // (OLoRA: Büyükakyüz 2024, by QR), and PEFT subtracts that part from the base. Here the base stays unchanged, and the part is
    // subtracted in the delta: the sum is the same, and the file fits the original base.
    internal static (Tensor A, Tensor B)? Anchor(DeltaParts parts, Projection target, (int Rank, double Scale) size, string start)
    {
        if (!IsAnchored(start)) return null;
        var (rank, scale) = size;
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var weight = target.Matrix();
        if (start == "olora")
        {
            var (q, r) = linalg.qr(weight);
            return (parts.Own(r.narrow(0, 0, rank).contiguous()), parts.Own(q.narrow(1, 0, rank).contiguous()));
        }
        var (u, s, v) = linalg.svd(weight, fullMatrices: false);
        var root = (s.narrow(0, 0, rank) / scale).sqrt();
        return (parts.Own((v.narrow(0, 0, rank) * root.unsqueeze(1)).contiguous()), parts.Own((u.narrow(1, 0, rank) * root).contiguous()));
    }
}
