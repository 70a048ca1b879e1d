using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Text;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>
/// Two hundred steps of every sort leave behind what twenty did: no tensor more, and no object that once computed a gradient.
/// </summary>
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class LeakTests
{
    private static AdapterSpec Lora(string data) => new(
        new DeltaSpec(DeltaForm.Lora, Settings: new Dictionary<string, string> { ["r"] = "2", ["lora_dropout"] = "0.2" }), Data: [data]);

    private static ToyTraining Start(string what, string folder)
    {
        MethodSpec method = what switch
        {
            "lora" => new LoraMethod(R: 2, LoraDropout: 0.2),
            "routed" =>
                new AdaptersMethod(new Dictionary<string, AdapterSpec> { ["one"] = Lora("a"), ["two"] = Lora("b") }, Together.Route),
            _ => new FullMethod(),
        };
        List<Item> items = [.. Toy.Rows(9, 12, 7, 8, 11, 6, 10, 5)
            .Select((row, i) => new Item([row with { Data = i % 2 == 0 ? "a" : "b" }]))];
        // Rows of both adapters in every pass: one that has all rows keeps no list of its own.
        return new ToyTraining(
            method, microTokens: what == "routed" ? null : 20, items: items, places: new AdapterPlaces(folder, stage => stage, folder));
    }

    [Theory]
    [InlineData("full", false)]
    [InlineData("full", true)]
    [InlineData("lora", false)]
    [InlineData("lora", true)]
    [InlineData("routed", false)]
    [InlineData("routed", true)]
    public void Two_hundred_steps_leave_behind_what_twenty_did(string what, bool anew)
    {
        using var folder = new ScratchFolder();
        using var toy = Start(what, folder.Path);
        toy.Model.GradientCheckpointing = anew;
        toy.Train(1, 20);
        var objects = GC.GetTotalMemory(forceFullCollection: true);
        // While the collector is off, no finalizer hides a forgotten tensor. It collects once before.
        Assert.True(GC.TryStartNoGCRegion(240_000_000));
        GC.WaitForPendingFinalizers();
        var before = Tensor.TotalCount;
        toy.Train(21, 200);
        var after = Tensor.TotalCount;
        Assert.Equal(System.Runtime.GCLatencyMode.NoGCRegion, System.Runtime.GCSettings.LatencyMode);
        GC.EndNoGCRegion();
        Assert.Equal(before, after);
        // A hundred bytes for each operation of each step would be a megabyte, each time. Memory that is allocated once, such as tables of
        // compiled code, is not counted.
        for (int time = 0, done = 200; ; time++, done += 60)
        {
            var now = GC.GetTotalMemory(forceFullCollection: true);
            if (now - objects <= 100_000) break;
            Assert.True(time < 3, $"The heap grows by {now - objects} bytes again and again.");
            objects = now;
            toy.Train(done + 1, done + 60);
        }
    }
}
