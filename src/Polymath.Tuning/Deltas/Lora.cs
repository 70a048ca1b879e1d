using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Tensors.Kernels;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tuning.Deltas;

/// <summary>
/// Low-rank adaptation (Hu et al. 2021, eq. 3): y = Wx + b + s·B(A(dropout x)), s = α/r, or α/√r where the rank stabilises it (Kalajdzievski 2023).
/// A starts uniform in ±1/√in (Kaiming with a = √5), B at zero, so that a fresh delta changes nothing.
/// </summary>
public sealed class Lora : Delta
{
    readonly DeltaSwitch state;
    readonly double dropout;

    /// <summary>A delta for a projection.</summary>
    /// <param name="a">A [r, in].</param>
    /// <param name="b">B [out, r].</param>
    /// <param name="scale">s.</param>
    /// <param name="dropout">The share of the input that is dropped in training.</param>
    /// <param name="state">Whether the deltas of the set are on, and whether they train.</param>
    public Lora(Weight a, Weight b, double scale, double dropout, DeltaSwitch state)
    {
        (A, B, Scale, this.dropout, this.state) = (a, b, scale, dropout, state);
        Weights = [a, b];
    }

    /// <summary>A [r, in].</summary>
    public Weight A { get; }

    /// <summary>B [out, r].</summary>
    public Weight B { get; }

    /// <summary>s.</summary>
    public double Scale { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<Weight> Weights { get; }

    /// <inheritdoc/>
    public override Tensor Apply(Tensor input, Tensor output)
    {
        if (!state.On) return output;
        var x = dropout > 0 && state.Training ? Dropout.Of(input, dropout) : input;
        return addmm(output, nn.functional.linear(x, A.Value), B.Value.t(), 1f, (float)Scale);      // [tokens, out]
    }

    /// <inheritdoc/>
    public override Tensor WeightChange() => B.Value.matmul(A.Value) * Scale;

    /// <summary>A fresh delta.</summary>
    /// <param name="target">The projection.</param>
    /// <param name="prefix">What stands before the weights' names in files.</param>
    /// <param name="rank">r.</param>
    /// <param name="scale">s.</param>
    /// <param name="dropout">Dropout.</param>
    /// <param name="seed">The run's seed; A depends on it and on its own name only.</param>
    /// <param name="state">The set's switch.</param>
    public static Lora Fresh(Projection target, string prefix, int rank, double scale, double dropout, long seed, DeltaSwitch state)
    {
        ArgumentNullException.ThrowIfNull(target);
        long output = target.OutputWidth, input = target.InputWidth;
        var values = new float[rank * input];
        var random = new RandomStream(seed, prefix + target.Name);
        var bound = 1 / Math.Sqrt(input);
        for (var i = 0; i < values.Length; i++) values[i] = (float)((2 * random.NextDouble() - 1) * bound);
        return new Lora(
            new Weight($"{prefix}{target.Name}.lora_A.weight", tensor(values, [rank, input])),
            new Weight($"{prefix}{target.Name}.lora_B.weight", zeros(output, rank)), scale, dropout, state);
    }
}
