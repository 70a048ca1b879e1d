using Polymath.Recipes;
using Polymath.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Operations with their own gradients: their exceptions, and the memory they leave.</summary>
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

    // A device's gradients run on a thread of libtorch's own, while the caller waits.
    private static void Elsewhere(Tensor loss)
    {
        var thread = new Thread(() => loss.backward());
        thread.Start();
        thread.Join();
    }

    [Fact]
    public void A_gradient_on_another_thread_is_the_same_and_its_fault_reaches_who_waits()
    {
        using var scope = NewDisposeScope();
        Tensor a = ones(3).requires_grad_(true), b = ones(3);
        var thrown = Assert.Throws<InputException>(() => Fused.Backpropagate((new Failing(true).Run(a, b) * 2).sum(), Elsewhere));
        Assert.Equal("the gradient has a fault", thrown.Message);
        Fused.Backpropagate((new Failing(false).Run(a, b) * 2).sum(), Elsewhere);
        Assert.Equal([2f, 2f, 2f], Samples.Floats(a.grad!));
        // A part that is computed again there makes its own operations, and their fault reaches the same caller.
        Tensor Part(bool fails) => Recomputed.Of(inputs => new Failing(fails).Run(inputs[0], b) * 3, a).sum();
        Assert.Throws<InputException>(() => Fused.Backpropagate(Part(true), Elsewhere));
        Fused.Backpropagate(Part(false), Elsewhere);
        Assert.Equal([5f, 5f, 5f], Samples.Floats(a.grad!));
    }

    [Fact]
    public void A_fault_behind_operations_whose_scopes_are_closed_ends_the_pass_and_not_the_process()
    {
        using var scope = NewDisposeScope();
        Tensor a = ones(3).requires_grad_(true), b = ones(3), x = a;
        foreach (var fails in new[] { false, false, true, false })
        {
            using var inner = NewDisposeScope();
            x = (new Failing(fails).Run(x, b) * 2).MoveToOuterDisposeScope();
        }
        Assert.Equal("the gradient has a fault", Assert.Throws<InputException>(() => Fused.Backpropagate(x.sum())).Message);
        // What it gave instead says that nothing is known.
        Assert.Equal([0f, 0f, 0f], Samples.Floats(a.grad!));
    }

    [Fact]
    public void Nothing_is_recorded_where_no_input_asks_for_a_gradient()
    {
        using var scope = NewDisposeScope();
        Assert.False(new Failing(true).Run(ones(3), ones(3)).requires_grad);
        using var frozen = no_grad();
        Assert.False(new Failing(true).Run(ones(3).requires_grad_(true), ones(3)).requires_grad);
    }

    private sealed class Squares : Fused
    {
        public Tensor? Own { get; private set; }

        protected internal override int InputCount => 1;

        public Tensor Run(Tensor x) => Apply(x);

        protected internal override Tensor Forward(IReadOnlyList<Tensor> inputs)
        {
            Own = SaveForBackward(inputs[0]);
            return inputs[0] * inputs[0];
        }

        protected internal override Tensor?[] Backward(Tensor gradient) => [gradient * Own! * 2];
    }

    [Fact]
    public void What_an_operation_holds_outlives_the_callers_tensor_and_not_its_own_gradient()
    {
        using var scope = NewDisposeScope();
        using var x = tensor(new float[] { 1, 2, 3 }).requires_grad_(true);
        var squares = new Squares();
        var loss = Fused.Part(() => squares.Run(x * 3).sum());
        Assert.False(squares.Own!.IsInvalid);
        Fused.Backpropagate(loss);
        Assert.Equal([18f, 36f, 54f], Samples.Floats(x.grad!));
        Assert.True(squares.Own.IsInvalid);
    }

    [Fact]
    public void Where_nothing_is_recorded_nothing_is_held()
    {
        using var scope = NewDisposeScope();
        var x = ones(3);
        var squares = new Squares();
        squares.Run(x);
        Assert.Same(x, squares.Own);
    }

    [Fact]
    public void What_a_recomputed_part_throws_on_the_way_back_reaches_the_caller()
    {
        using var scope = NewDisposeScope();
        Tensor a = ones(3).requires_grad_(true), b = ones(3);
        using var state = get_rng_state();
        // In the gradient of an inner operation, and in the part itself when it is computed again.
        var thrown = Assert.Throws<InputException>(
            () => Fused.Backpropagate(Recomputed.Of(x => new Failing(true).Run(rand(3) * x[0], b), a).sum()));
        Assert.Equal("the gradient has a fault", thrown.Message);
        var times = 0;
        thrown = Assert.Throws<InputException>(() => Fused.Backpropagate(
            Recomputed.Of(x => ++times == 2 ? throw new InputException("the part has a fault") : rand(3) * x[0], a).sum()));
        Assert.Equal(("the part has a fault", 2), (thrown.Message, times));
        // What libtorch refuses within comes as its own exception.
        Assert.ThrowsAny<Exception>(() => Fused.Backpropagate(Recomputed.Of(x => ++times == 4 ? x[0].view(2, 2) : x[0] * 1, a).sum()));
        // The random numbers continue after those of the three forward passes, wherever the backward passes stopped.
        set_rng_state(state);
        using var drawn = rand(3);
        using var other = rand(3);
        using var next = rand(3);
        set_rng_state(state);
        Assert.Throws<InputException>(() => Fused.Backpropagate(Recomputed.Of(x => new Failing(true).Run(rand(3) * x[0], b), a).sum()));
        Assert.Equal(Samples.Floats(other), Samples.Floats(rand(3)));
        // The next pass is not affected.
        a.grad = null;
        Fused.Backpropagate(Recomputed.Of(x => x[0] * 2, a).sum());
        Assert.Equal([2f, 2f, 2f], Samples.Floats(a.grad!));
    }

    [Fact]
    public void A_pass_that_never_goes_back_leaves_nothing_behind()
    {
        using var model = Polymath.Tests.Models.Toy.Model();
        foreach (var weight in model.Weights) weight.Trainable = true;
        var row = Polymath.Tests.Models.Toy.Row(12);
        long Live()
        {
            using (NewDisposeScope())
            using (var batch = model.Lay([row]))
                Assert.True(model.Hidden(batch).requires_grad);
            return Tensor.TotalCount;
        }
        // Garbage of earlier tests is not counted here; if it is collected later, the count becomes smaller, while a leak of a pass would
        // make it larger each time.
        GC.GetTotalMemory(forceFullCollection: true);
        GC.WaitForPendingFinalizers();
        var first = Live();
        for (var i = 0; i < 20; i++) Live();
        Assert.InRange(Live(), 0, first + 5);
    }
}
