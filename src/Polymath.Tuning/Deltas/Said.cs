using System.Numerics;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Intrinsic dimension (Aghajanyan et al. 2021, eq. 1): all maps together change along d random directions, ΔW = M(θ), with one vector θ
/// of d numbers for the whole model. M is a Fastfood transform (Le et al. 2013): H·G·Π·H·B with Hadamard's H, signs B, a shuffle Π
/// and normal numbers G, all from a seed. It needs N·log d operations and no stored matrix. θ starts at zero.
/// </summary>
public sealed class Said : DenseDelta
{
    /// <summary>The kind's name in our files; PEFT has no such kind.</summary>
    public static DeltaMethod Method { get; } = new(
        DeltaForm.Said,
        "POLYMATH_SAID",
        ["dimensions", "random_seed"],
        Attach)
    {
        SizeKey = "dimensions",
        Roles = [Socket.Attention, Socket.FeedForward],
    };

    private readonly Weight theta;
    private readonly Tensor signs, order, normals;
    private readonly long output, input, padded;

    private Said(
        Weight theta,
        Tensor signs,
        Tensor order,
        Tensor normals,
        long output,
        long input,
        DeltaSwitch state)
        : base(state, theta) => (this.theta, this.signs, this.order, this.normals, this.output, this.input, padded) =
            (theta, signs, order, normals, output, input, signs.size(1));

    /// <inheritdoc/>
    public override Tensor Change()
    {
        var x = nn.functional.pad(theta.Value, [0, padded - theta.Count]).unsqueeze(0) * signs;         // [blocks, padded]
        x = Hadamard(x).gather(1, order) * normals;
        // Each element then has the variance |θ|²/d.
        x = Hadamard(x) / (padded * Math.Sqrt(theta.Count));
        return x.flatten().narrow(0, 0, output * input).view(output, input);
    }

    // The fast Hadamard transform: pairs at growing distances are replaced by their sum and their difference.
    private static Tensor Hadamard(Tensor x)
    {
        long blocks = x.size(0), size = x.size(1);
        for (var half = 1L; half < size; half *= 2)
        {
            var pairs = x.reshape(blocks, -1, 2, half);
            Tensor a = pairs.select(2, 0), b = pairs.select(2, 1);
            x = stack([a + b, a - b], 2).view(blocks, size);
        }
        return x;
    }

    private static void Attach(DeltaParts parts)
    {
        var count = parts.Configuration.Whole("dimensions", 1000);
        var seed = parts.Configuration.Whole("random_seed", 0, least: 0);
        var theta = parts.Named("base_model.intrinsic", Start.Zero, [count]);
        var padded = (long)BitOperations.RoundUpToPowerOf2((uint)count);
        foreach (var target in parts.Targets)
        {
            long elements = target.OutputWidth * target.InputWidth, blocks = (elements + padded - 1) / padded;
            var random = new RandomStream(seed, "fastfood " + target.Name);
            float[] signs = new float[blocks * padded], normals = new float[blocks * padded];
            var order = new long[blocks * padded];
            for (var block = 0L; block < blocks; block++)
            {
                var run = order.AsSpan((int)(block * padded), (int)padded);
                for (var i = 0; i < run.Length; i++)
                {
                    run[i] = i;
                    signs[block * padded + i] = random.Next(2) == 0 ? -1 : 1;
                    normals[block * padded + i] = (float)random.NextNormal();
                }
                for (var i = run.Length - 1; i > 0; i--)
                {
                    var j = random.Next(i + 1);
                    (run[i], run[j]) = (run[j], run[i]);
                }
            }
            Tensor Kept(Tensor made) => parts.Own(made);
            parts.Plug(target, new Said(
                theta,
                Kept(tensor(signs, [blocks, padded])),
                Kept(tensor(order, [blocks, padded])),
                Kept(tensor(normals, [blocks, padded])),
                target.OutputWidth,
                target.InputWidth,
                parts.State));
        }
    }
}
