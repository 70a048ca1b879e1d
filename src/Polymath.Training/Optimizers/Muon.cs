using Polymath.Models;
using Polymath.Recipes;
using TorchSharp;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") as <c>torch.optim.Muon</c> has it. Of a hidden
/// matrix with momentum b ← μ·b + (1 - μ)·g the step is made of g + μ·(b - g) (Nesterov) or b, brought near to the closest
/// orthogonal matrix by Newton-Schulz steps X ← aX + (bXXᵀ + c(XXᵀ)²)X; w ← (1 - rate·decay)·w - rate·shape·X. Everything else
/// moves by <see cref="AdamW"/>. One number of 32 bits is kept for each of a hidden matrix, two for each of the others.
/// </summary>
public sealed class Muon : Optimizer
{
    // Keller Jordan's, chosen for the steepest slope at zero.
    private const double A = 3.4445, B = -4.7750, C = 2.0315;

    private readonly MuonSpec spec;
    private readonly AdamwSpec others;
    private readonly IReadOnlyList<Tensor?> momenta;
    private readonly IReadOnlyList<(Tensor First, Tensor Second)?> moments;

    /// <summary>Momenta and moments at zero.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public Muon(WeightGroup group, MuonSpec spec) : base(group)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(spec);
        this.spec = spec;
        others = new AdamwSpec(
            spec.AdamwRate,
            spec.AdamwBeta1,
            spec.AdamwBeta2,
            spec.AdamwEpsilon,
            spec.AdamwWeightDecay);
        momenta = [.. group.Weights.Select(weight => group.IsHiddenMatrix(weight) ? Zeros(weight) : null)];
        moments = [.. group.Weights.Select(weight => group.IsHiddenMatrix(weight)
            ? ((Tensor, Tensor)?)null
            : (Zeros(weight), Zeros(weight)))];
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move)
    {
        ArgumentNullException.ThrowIfNull(weight);
        if (momenta[place] is not { } momentum)
        {
            // The schedule says which share of its peak a rate has.
            var share = spec.Rate > 0 ? move.Rate / spec.Rate : 0;
            AdamW.Apply(
                others,
                weight,
                gradient,
                moments[place]!.Value.First,
                moments[place]!.Value.Second,
                move with { Rate = share * spec.AdamwRate });
            return;
        }
        using var scope = NewDisposeScope();
        var g = gradient * move.GradientScale;
        momentum.lerp_(g, 1 - spec.Momentum);
        var step = Orthogonal(spec.Nesterov ? g.lerp(momentum, spec.Momentum) : momentum, spec.NsSteps, spec.Epsilon);
        weight.Value.mul_(1 - move.Rate * spec.WeightDecay);
        weight.Value.add_(step, -move.Rate * ShapeFactor(weight.Value));
    }

    /// <summary>
    /// A matrix with the same singular vectors, and singular values between about 0.7 and 1.2. On a CPU it is made in 32 bits, elsewhere in
    /// bfloat16 as PyTorch does everywhere.
    /// </summary>
    /// <param name="matrix">The matrix [rows, columns].</param>
    /// <param name="steps">The Newton-Schulz steps.</param>
    /// <param name="epsilon">The least norm that it is divided by.</param>
    public static Tensor Orthogonal(Tensor matrix, int steps, double epsilon)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        using var scope = NewDisposeScope();
        var x = matrix.device_type == DeviceType.CPU ? matrix : matrix.to(ScalarType.BFloat16);
        var tall = x.shape[0] > x.shape[1];
        if (tall) x = x.t();
        // Singular values of one at most.
        x = x / x.norm().clamp_min_(epsilon);
        for (var i = 0; i < steps; i++)
        {
            var gram = x.mm(x.t());
            var square = gram.addmm(gram, gram, (float)B, (float)C);
            x = x.addmm(square, x, (float)A, 1);
        }
        return (tall ? x.t() : x).to(matrix.dtype).MoveToOuterDisposeScope();
    }

    private double ShapeFactor(Tensor matrix)
    {
        double rows = matrix.shape[0], columns = matrix.shape[1];
        return spec.AdjustLrFn == MuonRate.MatchRmsAdamw
            ? 0.2 * Math.Sqrt(Math.Max(rows, columns))
            : Math.Sqrt(Math.Max(1, rows / columns));
    }

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place) => momenta[place] is { } momentum
        ? [(Momentum, momentum)]
        : [(FirstMoment, moments[place]!.Value.First), (SecondMoment, moments[place]!.Value.Second)];
}
