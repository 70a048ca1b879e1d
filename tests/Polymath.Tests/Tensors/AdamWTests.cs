using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>AdamW against TorchSharp's own and against double precision, step by step.</summary>
[Trait("kind", "unit")]
public sealed class AdamWTests
{
    private const double Rate = 3e-3, Beta1 = 0.9, Beta2 = 0.98, Epsilon = 1e-6, Decay = 0.1;
    private const int Steps = 6;

    private static Tensor Gradient(int step, long count) => Samples.Normal($"gradient {step}", count) * (step == 3 ? 100 : 0.01);

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(64)]
    [InlineData(20001)]
    public void Steps_are_those_of_the_library(int count)
    {
        using var scope = NewDisposeScope();
        Tensor start = Samples.Normal("weight", count), weight = start.clone(), first = zeros(count), second = zeros(count);
        var theirs = new Parameter(start.clone());
        using var optimizer = optim.AdamW(
            [theirs],
            Rate,
            Beta1,
            Beta2,
            Epsilon,
            Decay);
        for (var step = 1; step <= Steps; step++)
        {
            theirs.grad = Gradient(step, count);
            optimizer.step();
            AdamWStep.Apply(
                weight,
                Gradient(step, count) * 4,
                first,
                second,
                new AdamWNumbers(
                    Rate,
                    Beta1,
                    Beta2,
                    Epsilon,
                    Decay,
                    step,
                    0.25));
            Samples.Near(theirs, weight, 2e-6, $"step {step}");
        }
    }

    [Fact]
    public void Steps_are_those_of_double_precision_on_either_path()
    {
        using var scope = NewDisposeScope();
        const int Count = 37;
        Tensor fast = Samples.Normal("weight", Count), first = zeros(Count), second = zeros(Count);
        Tensor slow = fast.to(ScalarType.Float64), slowFirst = slow.zeros_like(), slowSecond = slow.zeros_like();
        double[] weight = Array.ConvertAll(Samples.Floats(fast), x => (double)x), m = new double[Count], v = new double[Count];
        for (var step = 1; step <= Steps; step++)
        {
            var gradient = Gradient(step, Count);
            var rate = Rate / step;
            var numbers = new AdamWNumbers(
                rate,
                Beta1,
                Beta2,
                Epsilon,
                Decay,
                step,
                0.5);
            AdamWStep.Apply(
                fast,
                gradient,
                first,
                second,
                numbers);
            AdamWStep.Apply(
                slow,
                gradient.to(ScalarType.Float64),
                slowFirst,
                slowSecond,
                numbers);
            var g = Samples.Floats(gradient);
            for (var i = 0; i < Count; i++)
            {
                var scaled = 0.5 * g[i];
                m[i] = Beta1 * m[i] + (1 - Beta1) * scaled;
                v[i] = Beta2 * v[i] + (1 - Beta2) * scaled * scaled;
                weight[i] -= rate * Decay * weight[i];
                weight[i] -= rate * (m[i] / (1 - Math.Pow(Beta1, step))) / (Math.Sqrt(v[i] / (1 - Math.Pow(Beta2, step))) + Epsilon);
            }
        }
        var expected = Array.ConvertAll(weight, x => (float)x);
        Assert.True(Samples.Gap(expected, Samples.Floats(fast)) < 2e-6);
        Assert.True(Samples.Gap(expected, Samples.Floats(slow)) < 2e-7);
    }

    [Fact]
    public void Weights_of_one_dimension_are_not_decayed_and_one_without_a_gradient_stays()
    {
        using var scope = NewDisposeScope();
        var weights = new[] { new Weight("matrix", ones(3, 3)), new Weight("norm", ones(3)), new Weight("untouched", ones(2, 2)) };
        foreach (var weight in weights)
            weight.Trainable = true;
        using var optimizer = new Polymath.Training.Optimizers.OptimizerSet(weights, new AdamwSpec(0.1, WeightDecay: 0.5));
        foreach (var weight in weights[..2])
            weight.Value.grad = zeros_like(weight.Value);
        optimizer.Step(0.1, 1);
        Assert.Equal([0.95f, 1f, 1f], weights.Select(weight => weight.Value.max().item<float>()));
        Assert.Equal(1, optimizer.StepsOf(0));
        Assert.Empty(optimizer.Gradients());
        Assert.Equal((16L, 7), (optimizer.Count, optimizer.State().Count));
        foreach (var weight in weights)
            weight.Value.Dispose();
    }
}
