using System.Runtime.Intrinsics;
using CsCheck;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>The arithmetic below the kernels.</summary>
[Trait("kind", "unit")]
public sealed unsafe class VectorTests
{
    private static float Exp(float x) => Vectors.Exp(Vector256.Create(x)).GetElement(3);

    [Fact]
    public void The_exponential_is_right_to_two_units_in_the_last_place()
    {
        var worst = 0.0;
        for (var x = -87.3; x <= 88.3; x += 0.00173)
            worst = Math.Max(worst, Math.Abs(Exp((float)x) / Math.Exp((float)x) - 1));
        Assert.True(worst < 2.5e-7, $"{worst:G3}");
    }

    [Theory]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(-1e30f, 0f)]
    [InlineData(-90f, 0f)]
    [InlineData(0f, 1f)]
    public void The_exponential_is_exact_at_its_ends(float x, float expected) => Assert.Equal(expected, Exp(x));

    [Fact]
    public void The_exponential_stays_finite_above_and_keeps_what_is_no_number()
    {
        Assert.Equal(1, Exp(88f) / MathF.Exp(88f), 5);
        Assert.True(float.IsFinite(Exp(1e30f)) && Exp(1e30f) > 1e38f);
        Assert.True(float.IsNaN(Exp(float.NaN)));
    }

    [Fact]
    public void Sums_and_maxima_are_those_of_plain_loops() =>
        Gen.Int[0, 100].Sample(n =>
        {
            float[] a = Array.ConvertAll(Samples.Numbers("a", n, 1), x => (float)x),
                b = Array.ConvertAll(Samples.Numbers("b", n, 1), x => (float)x),
                y = [.. b],
                e = [.. a];
            fixed (float* pa = a, pb = b, py = y, pe = e)
            {
                Assert.Equal(a.Zip(b).Sum(pair => (double)pair.First * pair.Second), Vectors.Dot(pa, pb, n), 1e-4);
                Assert.Equal(a.Append(-0.5f).Max(), Vectors.Max(pa, n, -0.5f));
                Assert.Equal(a.Sum(x => Math.Exp(x - 1)), Vectors.ExpSumOnly(pa, 1, n), 1e-4);
                Assert.Equal(Vectors.ExpSumOnly(pa, 1, n), Vectors.ExpSum(pe, 1, n), 1e-4);
                Vectors.AddScaled(py, pa, 0.5f, n);
                Vectors.Scale(pa, 3, n);
            }
            for (var i = 0; i < n; i++)
            {
                Assert.Equal(b[i] + a[i] / 6, y[i], 1e-5);
                Assert.Equal(Math.Exp(a[i] / 3 - 1), e[i], 1e-4);
            }
        }, iter: 120, threads: 1);

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(17)]
    [InlineData(16384)]
    [InlineData(16385)]
    [InlineData(50001)]
    public void The_sum_of_squares_is_that_of_double_precision(int count)
    {
        using var scope = NewDisposeScope();
        var x = Samples.Normal("x", count);
        var expected = Samples.Floats(x).Sum(value => (double)value * value);
        Assert.Equal(1, SquareSum.Of(x) / expected, Samples.Ulps(32));
        Assert.Equal(1, SquareSum.Of(x.to(ScalarType.Float64)) / expected, Samples.Ulps(32));
        Assert.Equal(1, SquareSum.Of(stack([x, x], 1).select(1, 0)) / expected, Samples.Ulps(32));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void The_sum_of_squares_shows_what_is_no_number(float poison)
    {
        using var scope = NewDisposeScope();
        foreach (var place in new[] { 0, 8, 20001 })
        {
            var x = Samples.Normal("x", 20002);
            x[place] = poison;
            Assert.False(double.IsFinite(SquareSum.Of(x)));
        }
    }
}
