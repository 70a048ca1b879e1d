using Polymath.Tensors;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Elements are dropped as often as asked, the rest is scaled, and the backward drops the same ones.</summary>
[Trait("kind", "unit")]
public sealed class DropoutTests
{
    [Theory]
    [InlineData(0.05)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    public void Elements_are_dropped_as_often_as_asked_and_the_rest_is_scaled(double probability)
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        var values = Dropout.Of(ones(1000, 333), probability).data<float>().ToArray();
        Assert.Equal(probability, values.Count(x => x == 0) / (double)values.Length, 0.004);
        Assert.All(values, x => Assert.True(x == 0 || Math.Abs(x - 1 / (1 - probability)) < 1e-6));
        // Neighbours in a row and in a column are dropped independently of each other.
        var rows =
            Enumerable.Range(0, values.Length - 333).Count(i => values[i] == 0 && values[i + 1] == 0) / (double)(values.Length - 333);
        var columns =
            Enumerable.Range(0, values.Length - 333).Count(i => values[i] == 0 && values[i + 333] == 0) / (double)(values.Length - 333);
        Assert.Equal(probability * probability, rows, 0.004);
        Assert.Equal(probability * probability, columns, 0.004);
    }

    [Fact]
    public void The_same_state_of_the_generator_drops_the_same_elements_and_the_next_call_others()
    {
        using var scope = NewDisposeScope();
        manual_seed(5);
        var kept = get_rng_state();
        Tensor first = Dropout.Of(ones(50, 50), 0.3), second = Dropout.Of(ones(50, 50), 0.3);
        set_rng_state(kept);
        Assert.True(first.eq(Dropout.Of(ones(50, 50), 0.3)).all().item<bool>());
        Assert.False(first.eq(second).all().item<bool>());
    }

    [Fact]
    public void The_gradient_passes_where_the_element_stayed()
    {
        using var scope = NewDisposeScope();
        manual_seed(7);
        var x = rand(17, 13).requires_grad_();
        var y = Dropout.Of(x, 0.4);
        Fused.Backpropagate((y * 2).sum());
        var stayed = y.ne(0).to(ScalarType.Float32) / 0.6f * 2;
        Assert.True(x.grad!.allclose(stayed));
    }
}
