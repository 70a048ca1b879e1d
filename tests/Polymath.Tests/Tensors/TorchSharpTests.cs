using Polymath.Tensors;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>The TorchSharp library next to the program.</summary>
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class TorchSharpTests
{
    [Fact]
    public void A_libtorch_of_another_version_is_refused_by_name()
    {
        Assert.Equal("2.10", string.Join('.', TorchRuntime.Words(TorchRuntime.Interfaced).Split('.')[..2]));
        TorchRuntime.Check(TorchRuntime.Interfaced, "libtorch_cpu.so");
        var message = Assert.Throws<Polymath.Recipes.InputException>(
            () => TorchRuntime.Check(0x020e_0100_0000_0000, "libtorch_cpu.so")).Message;
        Assert.Contains("libtorch_cpu.so is libtorch 2.14.1, but this build is made for 2.10", message);
        Assert.Contains("POLYMATH_LIBTORCH", message);
    }

    [Fact]
    public void The_wrappers_keep_what_a_native_call_works_on()
    {
        // Optimised calls do not: the last use of a Scalar is the reading of its handle, and its finaliser may run during the native call.
        Assert.True(TorchRuntime.WrappersMended, "The build did not mend TorchSharp.dll: see build/TorchWrappers.targets.");
    }

    [Fact]
    public void Numbers_in_sums_are_right_while_the_collector_runs()
    {
        // Counted in collections, not in seconds: a machine may be slow, or busy.
        const int Collections = 50;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var collecting = new Thread(() =>
        {
            var kept = new object[64];
            for (var i = 0; !stop.IsCancellationRequested; i++) kept[i % kept.Length] = new byte[20_000];
        });
        collecting.Start();
        var before = GC.CollectionCount(0);
        try
        {
            using var x = ones(100);
            while (GC.CollectionCount(0) < before + Collections && !stop.IsCancellationRequested)
            {
                using var y = x + 0.5;
                using var last = y[99];
                Assert.Equal(1.5f, last.item<float>());
            }
        }
        finally
        {
            stop.Cancel();
            collecting.Join();
        }
    }
}
