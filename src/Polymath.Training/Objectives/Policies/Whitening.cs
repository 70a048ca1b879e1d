using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// The sums of a STEP from which values are whitened. Sums of micro-batches and processes are added first, then every value of the step is
/// whitened alike.
/// </summary>
/// <param name="Count">The values.</param>
/// <param name="Sum">Σ x.</param>
/// <param name="Squares">Σ x².</param>
public readonly record struct Whitening(double Count, double Sum, double Squares)
{
    /// <summary>The sums of some values.</summary>
    /// <param name="values">The values [n], without a gradient.</param>
    public static Whitening Of(Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var wide = values.detach().to(ScalarType.Float64);
        return new Whitening(values.numel(), wide.sum().item<double>(), wide.square().sum().item<double>());
    }

    /// <summary>The sums of both.</summary>
    /// <param name="other">Others.</param>
    public Whitening With(Whitening other) => new(Count + other.Count, Sum + other.Sum, Squares + other.Squares);

    /// <summary>The mean.</summary>
    public double Mean => Sum / Count;

    /// <summary>The unbiased variance.</summary>
    public double Variance => Count < 2 ? 0 : Math.Max(0, (Squares - Sum * Sum / Count) / (Count - 1));

    /// <summary>(x − mean)/√(variance + 10⁻⁸) [n].</summary>
    /// <param name="values">x [n].</param>
    /// <param name="keepMean">Whether the mean is added again, as for rewards.</param>
    public Tensor Whiten(Tensor values, bool keepMean = false)
    {
        ArgumentNullException.ThrowIfNull(values);
        var white = (values - Mean) / Math.Sqrt(Variance + 1e-8);
        return keepMean ? white + Mean : white;
    }
}
