using System.Runtime.InteropServices;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>The memory of a deep model during its pass through the blocks.</summary>
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed partial class BlockMemoryTests
{
    private const int Blocks = 30;

    // glibc's own count of the bytes that are allocated and not freed: it includes libtorch's tensors, but not what the system keeps
    // resident.
    [StructLayout(LayoutKind.Sequential)]
    private struct Counts
    {
        public nuint Arena, Free, Fast, Maps, Mapped, UsedMost, FastFree, Used, Unused, Top;
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial Counts Count();

    private static long Live() => Count() is var counts ? (long)(counts.Used + counts.Mapped) : 0;

    // Measures at a block's last map, when most of the block's tensors still exist.
    private sealed class Looking(List<long> seen) : Delta
    {
        public override IReadOnlyList<Weight> Weights => [];

        public override Tensor Forward(Projection map, Tensor x, Func<Tensor, Tensor> inner)
        {
            seen.Add(Live());
            return inner(x);
        }
    }

    // The runtime uses the same allocator for compilation and for its own tables, at any moment, about a megabyte. So the streams are
    // larger than that, and each block's median over several passes is used.
    private static (List<long> Forward, List<long> Backward, long Stream) Pass(bool trained, bool anew)
    {
        var passes = Enumerable.Range(0, 3).Select(_ => One(trained, anew)).ToList();
        List<long> Middle(Func<(List<long> Forward, List<long> Backward, long Stream), List<long>> way) =>
            [.. Enumerable.Range(0, way(passes[0]).Count).Select(block => passes.Select(pass => way(pass)[block]).Order().ElementAt(1))];
        return (Middle(pass => pass.Forward), Middle(pass => pass.Backward), passes[0].Stream);
    }

    private static (List<long> Forward, List<long> Backward, long Stream) One(bool trained, bool anew)
    {
        using var model = Toy.Model(layers: Blocks);
        foreach (var weight in model.Weights) weight.Trainable = false;
        using var set = trained ? DeltaSet.Fresh(model, new LoraMethod(R: 2, LoraDropout: 0).ToDelta(), 5) : null;
        foreach (var weight in set?.Weights ?? []) weight.Trainable = true;
        List<long> seen = [];
        foreach (var map in model.Projections.Where(map => map.Role == Role.Down)) map.Plug(new Looking(seen));
        using var scope = NewDisposeScope();
        using var batch = model.Lay([.. Enumerable.Range(0, 240).Select(i => Toy.Row(40, i))]);
        model.GradientCheckpointing = anew;
        // The first pass allocates what is allocated only once.
        using (NewDisposeScope())
        using (no_grad()) model.NegativeLogLikelihood(batch);
        seen.Clear();
        var start = Live();
        var loss = model.NegativeLogLikelihood(batch);
        List<long> forward = [.. seen.Select(bytes => bytes - start)];
        seen.Clear();
        if (trained) Fused.Backpropagate(loss);
        return (forward, [.. seen.Select(bytes => bytes - start)], batch.Tokens * model.Sizes.HiddenSize * 4L);
    }

    [Fact]
    public void With_frozen_weights_a_deep_model_takes_what_one_block_takes()
    {
        var (seen, _, stream) = Pass(trained: false, anew: false);
        Assert.Equal(Blocks, seen.Count);
        // A block's tensors have several times the stream's bytes. If they were kept, there would be thirty times as many at the end; if
        // only a stream per block were kept, thirty streams.
        Assert.InRange(seen[0], 2 * stream, 40 * stream);
        Assert.InRange(seen.Max(), seen[0], seen[0] + 8 * stream);
    }

    [Fact]
    public void Computed_anew_a_deep_model_takes_the_streams_before_its_blocks_and_one_block_more()
    {
        var (kept, _, _) = Pass(trained: true, anew: false);
        var (forward, backward, stream) = Pass(trained: true, anew: true);
        Assert.Equal((Blocks, Blocks), (forward.Count, backward.Count));
        // One more stream for each earlier block.
        Assert.InRange(forward[^1] - forward[0], (Blocks - 4) * stream, (Blocks + 3) * stream);
        Assert.True(
            kept[^1] - kept[0] > 4 * (forward[^1] - forward[0]),
            $"{kept[^1] - kept[0]} bytes are kept, {forward[^1] - forward[0]} where blocks are computed anew");
        // In the backward pass the streams are freed one by one, and no block's own bytes stay.
        Assert.True(backward[^1] < backward[0], "what a block was given stays after it was computed anew");
        Assert.True(backward.Max() < forward[^1] + kept[^1] / Blocks * 3, "more than one block is held on the way back");
    }
}
