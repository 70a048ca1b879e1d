using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Operations with gradients of their own: what they throw, and what they leave behind.</summary>
[Trait("kind", "unit")]
[Collection(Alone.Name)]
public sealed class FusedTests
{
    private sealed class Failing(bool fails) : Fused
    {
        protected internal override int InputCount => 2;

        public Tensor Run(Tensor a, Tensor b) => Apply(a, b);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs) => inputs[0] + inputs[1];

        protected internal override Tensor?[] Backward(Tensor gradient) =>
            fails ? throw new InputException("the gradient has a fault") : [gradient.clone(), null];
    }

    [Fact]
    public void What_a_gradient_throws_reaches_the_caller_once()
    {
        using var scope = NewDisposeScope();
        Tensor a = ones(3).requires_grad_(true), b = ones(3).requires_grad_(true);
        var thrown = Assert.Throws<InputException>(() => Fused.Backpropagate((new Failing(true).Run(a, b) * 2).sum()));
        Assert.Equal("the gradient has a fault", thrown.Message);
        Assert.Contains(nameof(Failing), thrown.StackTrace);
        Fused.Backpropagate((new Failing(false).Run(a, b) * 2).sum());
        Assert.Equal([2f, 2f, 2f], Samples.Floats(a.grad!));
        Assert.Null(b.grad);
    }

    [Fact]
    public void Nothing_is_recorded_where_no_input_asks_for_a_gradient()
    {
        using var scope = NewDisposeScope();
        Assert.False(new Failing(true).Run(ones(3), ones(3)).requires_grad);
        using var frozen = no_grad();
        Assert.False(new Failing(true).Run(ones(3).requires_grad_(true), ones(3)).requires_grad);
    }

    [Fact]
    public void Two_hundred_steps_leave_no_tensor_behind()
    {
        using var toy = new ToyTraining(new FullMethod(), microTokens: 20);
        toy.Train(1, 20);
        // While the collector rests no finalizer hides a tensor that was forgotten. It collects once before it rests.
        Assert.True(GC.TryStartNoGCRegion(150_000_000));
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        toy.Train(21, 200);
        var after = Tensor.TotalCount;
        Assert.Equal(System.Runtime.GCLatencyMode.NoGCRegion, System.Runtime.GCSettings.LatencyMode);
        GC.EndNoGCRegion();
        Assert.Equal(before, after);
    }
}
