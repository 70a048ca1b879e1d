using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// Adafactor (Shazeer &amp; Stern 2018, algorithms 4 to 6) as transformers' <c>Adafactor</c> has it. Of a matrix the second moment is kept
/// as the means of its rows r and its columns c, and read as r·c/mean(r); of a vector as it is. u = g/√v is cut to a root mean square of
/// <c>clipThreshold</c>, multiplied with the rate, and w ← (1 - rate·decay)·w - u. Two numbers are kept for each row and column, and
/// one for each number of a vector; one more for each number with <c>beta1</c>.
/// </summary>
public sealed class Adafactor : Optimizer
{
    private const string Rows = "rows", Columns = "columns", Squares = "squares";

    private readonly AdafactorSpec spec;
    private readonly IReadOnlyList<Second> seconds;
    private readonly IReadOnlyList<Tensor> firsts;

    // Rows [..., r] and columns [..., c] of what has two dimensions or more, else the squares themselves.
    private sealed record Second(Tensor? Rows, Tensor? Columns, Tensor? Squares);

    /// <summary>Moments at zero.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="spec">The settings.</param>
    public Adafactor(WeightGroup group, AdafactorSpec spec) : base(group)
    {
        ArgumentNullException.ThrowIfNull(group);
        ArgumentNullException.ThrowIfNull(spec);
        this.spec = spec;
        seconds = [.. group.Weights.Select(Fresh)];
        firsts = spec.Beta1 is null ? [] : [.. group.Weights.Select(Zeros)];
    }

    private static Second Fresh(Weight weight)
    {
        var shape = weight.Value.shape;
        return shape.Length < 2
            ? new Second(null, null, Zeros(weight))
            : new Second(
                Zeros(weight, weight.Value.dtype, shape[..^1]),
                Zeros(weight, weight.Value.dtype, [.. shape[..^2], shape[^1]]),
                null);
    }

    /// <inheritdoc/>
    protected override void Apply(int place, Weight weight, Tensor gradient, Move move)
    {
        ArgumentNullException.ThrowIfNull(weight);
        using var scope = NewDisposeScope();
        var rate = RateOf(weight, move);
        var g = gradient * move.GradientScale;
        var decay = 1 - Math.Pow(move.Step, spec.DecayRate);
        var update = Scaled(seconds[place], g, decay);
        update.div_((Size(update) / spec.ClipThreshold).clamp_min_(1)).mul_(rate);
        if (spec.Beta1 is { } beta1) update = firsts[place].mul_(beta1).add_(update, 1 - beta1);
        if (Decays(weight) && spec.WeightDecay > 0) weight.Value.add_(weight.Value, -spec.WeightDecay * rate);
        weight.Value.sub_(update);
    }

    // The gradient over the root of its second moment.
    private Tensor Scaled(Second second, Tensor gradient, double decay)
    {
        var squares = gradient.square().add_(spec.Epsilon1);
        if (second.Squares is { } kept) return kept.mul_(decay).add_(squares, 1 - decay).rsqrt().mul_(gradient);
        var rows = second.Rows!.mul_(decay).add_(squares.mean([-1]), 1 - decay);
        var columns = second.Columns!.mul_(decay).add_(squares.mean([-2]), 1 - decay);
        var left = rows.div(rows.mean([-1], keepdim: true)).rsqrt_().unsqueeze(-1);
        return left.mul(columns.unsqueeze(-2).rsqrt()).mul_(gradient);
    }

    private double RateOf(Weight weight, Move move)
    {
        var rate = move.Rate;
        if (spec.RelativeStep) rate *= Math.Min(spec.WarmupInit ? 1e-6 * move.Step : 1e-2, 1 / Math.Sqrt(move.Step));
        return spec.ScaleParameter ? rate * Math.Max(spec.Epsilon2, Size(weight.Value).item<float>()) : rate;
    }

    // The root mean square.
    private static Tensor Size(Tensor x) => x.norm().div_(Math.Sqrt(x.numel()));

    /// <inheritdoc/>
    protected override IEnumerable<(string Kind, Tensor Value)> Memory(int place)
    {
        if (seconds[place].Squares is { } squares) yield return (Squares, squares);
        else
        {
            yield return (Rows, seconds[place].Rows!);
            yield return (Columns, seconds[place].Columns!);
        }
        if (firsts.Count > 0) yield return (FirstMoment, firsts[place]);
    }
}
