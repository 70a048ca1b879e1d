using CsCheck;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Norm, gate and rotation against the same formula in libtorch's operations, and against finite differences.</summary>
[Trait("kind", "unit")]
public sealed class ElementKernelTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 7)]
    [InlineData(3, 8)]
    [InlineData(200, 17)]
    [InlineData(65, 64)]
    [InlineData(64, 1)]
    [InlineData(129, 100)]
    public void The_norm_is_the_plain_norm(int rows, int width)
    {
        using var scope = NewDisposeScope();
        Norm(rows, width, 1e-5);
        Norm(rows, width, 0.5);
    }

    [Fact]
    public void The_norm_is_the_plain_norm_for_any_shape() =>
        // The gradient of a norm of one element is what rounding leaves of two equal numbers.
        Gen.Select(Gen.Int[1, 140], Gen.Int[2, 70]).Sample((rows, width) =>
        {
            using var scope = NewDisposeScope();
            Norm(rows, width, 1e-6);
        }, iter: 40, threads: 1);

    private static void Norm(int rows, int width, double epsilon) => Samples.Agree(
        x => RmsNorm.Of(x[0], x[1], epsilon),
        x => RmsNorm.Plain(x[0], x[1], epsilon),
        Samples.Ulps(512),
        $"norm of [{rows}, {width}]",
        Samples.Normal("x", rows, width),
        Samples.Normal("w", width));

    [Fact]
    public void A_norm_whose_weight_is_frozen_gives_the_input_its_gradient_and_the_weight_none()
    {
        using var scope = NewDisposeScope();
        Tensor x = Samples.Normal("x", 5, 9).requires_grad_(true),
            w = Samples.Normal("w", 9),
            y = Samples.Normal("x", 5, 9).requires_grad_(true);
        Polymath.Tensors.Fused.Backpropagate(RmsNorm.Of(x, w, 1e-5).square().sum());
        RmsNorm.Plain(y, w, 1e-5).square().sum().backward();
        Assert.Null(w.grad);
        Samples.Near(y.grad!, x.grad!, 1e-5, "gradient beside a frozen weight");
    }

    [Fact]
    public void A_tensor_that_is_not_dense_or_not_32_bits_wide_takes_the_plain_path()
    {
        using var scope = NewDisposeScope();
        Tensor turned = Samples.Normal("x", 9, 6).t(), weight = Samples.Normal("w", 9), wide = turned.to(ScalarType.Float64);
        Samples.Near(
            RmsNorm.Plain(turned.contiguous(), weight, 1e-5), RmsNorm.Of(turned, weight, 1e-5), Samples.Ulps(32), "a turned tensor");
        Assert.Equal(ScalarType.Float64, SwiGlu.Of(wide, wide).dtype);
        Samples.Near(SwiGlu.Plain(turned, turned), SwiGlu.Of(turned, turned), Samples.Ulps(32), "a turned gate");
    }

    [Fact]
    public void The_norm_has_the_slopes_of_its_formula()
    {
        using var scope = NewDisposeScope();
        double[] x = Samples.Numbers("x", 3, 9), w = Samples.Numbers("w", 9), u = Samples.Numbers("upstream", 3, 9);
        double Formula(double[] at, double[] scale)
        {
            var sum = 0.0;
            for (var row = 0; row < 3; row++)
            {
                var inverse = 1 / Math.Sqrt(Enumerable.Range(0, 9).Sum(i => at[row * 9 + i] * at[row * 9 + i]) / 9 + 1e-3);
                for (var i = 0; i < 9; i++)
                    sum += u[row * 9 + i] * scale[i] * at[row * 9 + i] * inverse;
            }
            return sum;
        }
        var (_, gradients) = Samples.Differentiate(t => RmsNorm.Of(t[0], t[1], 1e-3), Samples.Normal("x", 3, 9), Samples.Normal("w", 9));
        Samples.NearSlopes(Samples.Slopes(at => Formula(at, w), x), gradients[0], "input");
        Samples.NearSlopes(Samples.Slopes(at => Formula(x, at), w), gradients[1], "weight");
    }

    [Fact]
    public void The_gate_is_the_plain_gate_for_any_length() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40]).Sample((rows, width) =>
        {
            using var scope = NewDisposeScope();
            Samples.Agree(
                x => SwiGlu.Of(x[0], x[1]),
                x => SwiGlu.Plain(x[0], x[1]),
                Samples.Ulps(32),
                $"gate of [{rows}, {width}]",
                Samples.Normal("gate", rows, width) * 4,
                Samples.Normal("up", rows, width));
        }, iter: 40, threads: 1);

    [Fact]
    public void A_gate_longer_than_one_thread_takes_is_the_plain_gate()
    {
        using var scope = NewDisposeScope();
        Samples.Agree(
            x => SwiGlu.Of(x[0], x[1]),
            x => SwiGlu.Plain(x[0], x[1]),
            Samples.Ulps(32),
            "a long gate",
            Samples.Normal("gate", 257, 131),
            Samples.Normal("up", 257, 131));
    }

    [Fact]
    public void The_gate_has_the_slopes_of_its_formula_and_stands_great_numbers()
    {
        using var scope = NewDisposeScope();
        double[] gate = Samples.Numbers("gate", 4, 5), up = Samples.Numbers("up", 4, 5), u = Samples.Numbers("upstream", 4, 5);
        double Formula(double[] g, double[] x) => Enumerable.Range(0, 20).Sum(i => u[i] * g[i] / (1 + Math.Exp(-g[i])) * x[i]);
        var (_, gradients) = Samples.Differentiate(t => SwiGlu.Of(t[0], t[1]), Samples.Normal("gate", 4, 5), Samples.Normal("up", 4, 5));
        Samples.NearSlopes(Samples.Slopes(at => Formula(at, up), gate), gradients[0], "gate");
        Samples.NearSlopes(Samples.Slopes(at => Formula(gate, at), up), gradients[1], "up");
        var great = tensor(new[] { -1000f, -90f, -88f, 0f, 88f, 90f, 1000f, -200f, 200f });
        Samples.Agree(
            x => SwiGlu.Of(x[0], x[1]),
            x => SwiGlu.Plain(x[0], x[1]),
            Samples.Ulps(32),
            "great numbers",
            great,
            ones(9));
    }

    [Theory]
    [InlineData(1, 1, 2)]
    [InlineData(5, 3, 6)]
    [InlineData(33, 2, 16)]
    [InlineData(100, 9, 18)]
    [InlineData(3, 4, 64)]
    public void The_rotation_is_the_plain_rotation(int tokens, int heads, int width)
    {
        using var scope = NewDisposeScope();
        Tensor angles = Samples.Normal("angle", tokens, width / 2), cosine = angles.cos(), sine = angles.sin();
        Samples.Agree(
            x => Rotation.Of(x[0], cosine, sine),
            x => Rotation.Plain(x[0], cosine, sine),
            Samples.Ulps(32),
            $"rotation of [{tokens}, {heads}, {width}]",
            Samples.Normal("x", tokens, heads, width));
    }

    [Fact]
    public void A_rotation_keeps_lengths_and_turning_back_undoes_it()
    {
        using var scope = NewDisposeScope();
        Tensor angles = Samples.Normal("angle", 7, 12),
            x = Samples.Normal("x", 7, 3, 24),
            turned = Rotation.Of(x, angles.cos(), angles.sin());
        Samples.Near(x.norm(2), turned.norm(2), Samples.Ulps(32), "length");
        Samples.Near(x, Rotation.Of(turned, angles.cos(), -angles.sin()), Samples.Ulps(32), "turned back");
        Assert.True(Samples.Gap(Samples.Floats(x), Samples.Floats(turned)) > 0.1);
    }

    [Theory]
    [InlineData(24, 12, false)]
    [InlineData(24, 4, false)]
    [InlineData(24, 12, true)]
    [InlineData(24, 5, true)]
    [InlineData(9, 3, true)]
    public void A_part_of_a_head_turns_and_neighbours_pair_as_in_the_plain_formula(int width, int pairs, bool interleaved)
    {
        using var scope = NewDisposeScope();
        Tensor angles = Samples.Normal("angle", 40, pairs), cosine = angles.cos(), sine = angles.sin();
        Samples.Agree(
            x => Rotation.Of(x[0], cosine, sine, interleaved),
            x => Rotation.Plain(x[0], cosine, sine, interleaved),
            Samples.Ulps(32),
            $"{pairs} pairs of {width}",
            Samples.Normal("x", 40, 3, width));
        var turned = Rotation.Of(Samples.Normal("x", 40, 3, width), cosine, sine, interleaved);
        if (2 * pairs < width)
            Samples.Near(
                Samples.Normal("x", 40, 3, width).narrow(-1, 2 * pairs, width - 2 * pairs),
                turned.narrow(-1, 2 * pairs, width - 2 * pairs),
                0,
                "what does not turn");
    }
}
