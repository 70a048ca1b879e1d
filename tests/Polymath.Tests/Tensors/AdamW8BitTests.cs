using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>The step on moments in 8 bits: the kernel against libtorch's operations, and what rounding loses.</summary>
[Trait("kind", "unit")]
public sealed class AdamW8BitTests
{
    private static AdamWNumbers Numbers(int step) => new(
        1e-2,
        0.9,
        0.98,
        1e-6,
        0.1,
        step,
        0.5);

    private static CodedMoments Zeros(int count) => new(
        zeros(count, dtype: ScalarType.Byte),
        zeros(count, dtype: ScalarType.Byte),
        zeros(AdamW8BitStep.BlocksOf(count)),
        zeros(AdamW8BitStep.BlocksOf(count)));

    [Theory]
    [InlineData(5)]
    [InlineData(256)]
    [InlineData(40_001)]
    public void The_kernel_steps_as_the_library_s_operations(int count)
    {
        using var scope = NewDisposeScope();
        Tensor start = Samples.Normal("weight", count), fast = start.clone(), plain = start.to(ScalarType.Float64);
        CodedMoments kernel = Zeros(count), operations = Zeros(count);
        for (var step = 1; step <= 6; step++)
        {
            var gradient = Samples.Normal($"gradient {step}", count) * (step == 3 ? 10 : 0.1);
            AdamW8BitStep.Apply(fast, gradient, kernel, Numbers(step));
            // What is no 32-bit number takes the plain path.
            AdamW8BitStep.Apply(plain, gradient, operations, Numbers(step));
            // Numbers halfway between two of the map's may be rounded either way, and are then brought together.
            Assert.InRange(kernel.First.ne(operations.First).sum().item<long>(), 0, count / 5000);
            Assert.InRange(kernel.Second.ne(operations.Second).sum().item<long>(), 0, count / 5000);
            operations.First.copy_(kernel.First);
            operations.Second.copy_(kernel.Second);
            Samples.Near(operations.FirstScale, kernel.FirstScale, 1e-6, "scale");
            Samples.Near(operations.SecondScale, kernel.SecondScale, 1e-6, "scale");
            Samples.Near(plain, fast, 1e-5, $"step {step}");
        }
    }

    [Fact]
    public void Every_number_of_a_map_has_its_own_code_and_the_nearest_is_found()
    {
        foreach (var map in new[] { DynamicMap.Signed, DynamicMap.Unsigned })
        {
            for (var code = 0; code < 256; code++) Assert.Equal(code, map.CodeOf(map.Values[code]));
            var values = map.Values.ToArray();
            foreach (var x in Samples.Floats(Samples.Normal("numbers", 2000)).Select(x => Math.Clamp(x * x * x / 20, values[0], 1f)))
            {
                var nearest = values.Min(value => Math.Abs(value - x));
                Assert.Equal(nearest, Math.Abs(values[map.CodeOf(x)] - x), 1e-7f);
            }
        }
    }

    [Fact]
    public void A_block_of_zeros_stays_zero()
    {
        using var scope = NewDisposeScope();
        var moments = Zeros(300);
        var weight = ones(300);
        AdamW8BitStep.Apply(weight, zeros(300), moments, Numbers(1));
        Assert.Equal(0, moments.FirstScale.sum().item<float>() + moments.SecondScale.sum().item<float>());
        Samples.Near(ones(300) * (1 - 1e-3), weight, 1e-6, "weight");
    }

    [Fact]
    public void Many_steps_stay_near_those_in_32_bits()
    {
        using var scope = NewDisposeScope();
        const int Count = 4096;
        Tensor start = Samples.Normal("weight", Count), few = start.clone(), many = start.clone();
        Tensor first = zeros(Count), second = zeros(Count);
        var moments = Zeros(Count);
        for (var step = 1; step <= 50; step++)
        {
            var gradient = Samples.Normal("direction", Count) + Samples.Normal($"noise {step}", Count);
            AdamW8BitStep.Apply(few, gradient, moments, Numbers(step));
            AdamWStep.Apply(
                many,
                gradient,
                first,
                second,
                Numbers(step));
        }
        var (way, apart) = ((many - start).norm().item<float>(), (many - few).norm().item<float>());
        Assert.True(apart < 0.02 * way, $"{apart} of {way}");
    }
}
