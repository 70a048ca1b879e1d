using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Some outputs of a linear map.</summary>
[Trait("kind", "unit")]
public sealed class MapRowsTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Parts_of_a_map_have_the_values_and_gradients_of_the_whole(bool trained)
    {
        using var scope = NewDisposeScope();
        Tensor x = Samples.Normal("x", 3, 4).requires_grad_(true),
            weight = Samples.Normal("weight", 7, 4).requires_grad_(trained),
            bias = Samples.Normal("bias", 7).requires_grad_(trained),
            by = Samples.Normal("by", 3, 7);
        List<float[]?> Pass(Func<Tensor> map)
        {
            var outputs = map();
            Fused.Backpropagate((outputs * by).sum());
            List<float[]?> found = [Samples.Floats(outputs), .. new[] { x, weight, bias }
                .Select(leaf => leaf.grad is { } gradient ? Samples.Floats(gradient) : null)];
            foreach (var leaf in new[] { x, weight, bias }) leaf.grad = null;
            return found;
        }
        var whole = Pass(() => nn.functional.linear(x, weight, bias));
        var parts = Pass(() => cat([MapRows.Of(
            x,
            weight,
            bias,
            0,
            2), MapRows.Of(
                x,
                weight,
                bias,
                2,
                4), MapRows.Of(
                    x,
                    weight,
                    bias,
                    6,
                    1)], 1));
        Assert.Equal(trained, whole[2] is not null);
        foreach (var (wanted, found) in whole.Zip(parts))
        {
            Assert.Equal(wanted is null, found is null);
            if (wanted is not null) Assert.True(Samples.Gap(wanted, found) < 1e-6, string.Join(' ', found!));
        }
    }
}
