using Polymath.Tensors;
using Polymath.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Repeatable tensors, and the difference between two of them.</summary>
internal static class Samples
{
    /// <summary>Standard normal numbers; the same name and shape give the same ones.</summary>
    public static Tensor Normal(string name, params long[] shape) => tensor(Array.ConvertAll(Numbers(name, shape), x => (float)x), shape);

    public static double[] Numbers(string name, params long[] shape)
    {
        var random = new RandomStream(17, name, shape);
        var values = new double[shape.Aggregate(1L, (product, x) => product * x)];
        for (var i = 0; i < values.Length; i++)
            values[i] = random.NextNormal();
        return values;
    }

    public static float[] Floats(Tensor x)
    {
        using var dense = x.detach().to(ScalarType.Float32).contiguous();
        return dense.data<float>().ToArray();
    }

    /// <summary>
    /// Some units in the last place of the largest number compared, as a bound for <see cref="Gap"/>. Kernels add in the order that a CPU's
    /// instructions and threads suggest, so that the last places differ: an element by itself stays within 32, a sum of some hundred terms
    /// and its gradients within 256, what a whole small model makes within 512. Each is more than ten times what any of libtorch's code
    /// paths (default, AVX2, AVX-512; one and two threads) was seen to give.
    /// </summary>
    /// <param name="count">The number of units.</param>
    public static double Ulps(int count) => count * Math.ScaleB(1, -23);

    /// <summary>
    /// The largest difference, relative to the largest expected number or to one, whichever is more; infinite where a number is none.
    /// </summary>
    public static double Gap(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double worst = 0, largest = 1;
        for (var i = 0; i < expected.Length; i++)
        {
            var difference = Math.Abs((double)expected[i] - actual[i]);
            worst = double.IsNaN(difference) ? double.PositiveInfinity : Math.Max(worst, difference);
            largest = Math.Max(largest, Math.Abs(expected[i]));
        }
        return worst / largest;
    }

    public static void Near(Tensor expected, Tensor actual, double tolerance, string what)
    {
        Assert.Equal(expected.shape, actual.shape);
        var gap = Gap(Floats(expected), Floats(actual));
        Assert.True(gap <= tolerance, $"{what}: {gap:G3} apart, {tolerance:G3} allowed");
    }

    /// <summary>
    /// Holds a kernel against its plain counterpart: the values, and the gradients of all inputs under a random gradient of the output.
    /// </summary>
    public static void Agree(
        Func<Tensor[], Tensor> fast,
        Func<Tensor[], Tensor> plain,
        double tolerance,
        string what,
        params Tensor[] inputs)
    {
        var (expected, expectedGradients) = Differentiate(plain, inputs);
        var (actual, actualGradients) = Differentiate(fast, inputs);
        Near(expected, actual, tolerance, what);
        for (var i = 0; i < inputs.Length; i++)
            Near(expectedGradients[i], actualGradients[i], tolerance, $"{what}, gradient of input {i}");
    }

    public static (Tensor Value, Tensor[] Gradients) Differentiate(Func<Tensor[], Tensor> function, params Tensor[] inputs)
    {
        var leaves = Array.ConvertAll(inputs, x => x.detach().clone().requires_grad_(true));
        var value = function(leaves);
        Fused.Backpropagate((value * Normal("upstream", value.shape).to(value.dtype)).sum());
        return (value.detach(), Array.ConvertAll(leaves, leaf => leaf.grad!));
    }

    /// <summary>Central differences of a scalar function of double-precision numbers.</summary>
    public static double[] Slopes(Func<double[], double> function, double[] at, double step = 1e-5)
    {
        var slopes = new double[at.Length];
        for (var i = 0; i < at.Length; i++)
        {
            var kept = at[i];
            at[i] = kept + step;
            var above = function(at);
            at[i] = kept - step;
            slopes[i] = (above - function(at)) / (2 * step);
            at[i] = kept;
        }
        return slopes;
    }

    public static void NearSlopes(double[] slopes, Tensor gradient, string what)
    {
        var gap = Gap(Array.ConvertAll(slopes, x => (float)x), Floats(gradient));
        Assert.True(gap < 1e-4, $"{what}: {gap:G3} from the finite differences");
    }
}
