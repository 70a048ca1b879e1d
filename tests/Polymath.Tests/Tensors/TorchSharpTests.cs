using Polymath.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>TorchSharp as it lies beside the program.</summary>
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class TorchSharpTests
{
    [Fact]
    public void The_wrappers_keep_what_a_native_call_works_on()
    {
        // Optimised, they do not: a Scalar's last use is the reading of its handle, and its finaliser may run while the native call does.
        Assert.True(TorchRuntime.WrappersMended, "The build did not mend TorchSharp.dll: see build/TorchWrappers.targets.");
    }

    [Fact]
    public void Numbers_in_sums_are_right_while_the_collector_runs()
    {
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        var collecting = new Thread(() =>
        {
            var kept = new object[64];
            for (var i = 0; !stop.IsCancellationRequested; i++) kept[i % kept.Length] = new byte[20_000];
        });
        collecting.Start();
        var before = GC.CollectionCount(0);
        using var x = ones(100);
        while (!stop.IsCancellationRequested)
        {
            using var y = x + 0.5;
            Assert.Equal(1.5f, y[99].item<float>());
        }
        collecting.Join();
        Assert.True(GC.CollectionCount(0) > before);
    }
}
