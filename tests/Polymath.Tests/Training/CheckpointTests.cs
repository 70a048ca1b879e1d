using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Training;
using Polymath.Training.Checkpoints;
using Polymath.Training.Optimizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>What is saved, what is trusted, what is deleted.</summary>
[Trait("kind", "invariant")]
public sealed class CheckpointTests : IDisposable
{
    private readonly ScratchFolder folder = new();
    private readonly List<Weight> weights = [new("a.weight", Samples.Normal("a", 3, 5)), new("b.weight", Samples.Normal("b", 4))];
    private readonly OptimizerSet optimizer;
    private readonly List<string> told = [];

    public CheckpointTests() => optimizer = new OptimizerSet(weights, new AdamwSpec(0.1));

    public void Dispose()
    {
        optimizer.Dispose();
        weights.ForEach(weight => weight.Value.Dispose());
        folder.Dispose();
    }

    private Checkpoint Saves(int keep = 2, string? best = null) => new(folder.At("checkpoints"), new CheckpointSettings(1, keep, best));

    private static CheckpointState State(int step, int? best = null) => new(
        step,
        [new Cursor(2, step * 3)],
        "AQID",
        Math.PI * step,
        1L << 40,
        1 / 3.0,
        [double.Epsilon],
        best * 0.1,
        best);

    private void Save(Checkpoint saves, int step, int? best = null)
    {
        foreach (var weight in weights)
            weight.Assign(full_like(weight.Value, step));
        foreach (var moment in optimizer.State().Values)
            moment.fill_(step + 0.5);
        saves.Save(optimizer, State(step, best));
    }

    private string[] Kept() =>
        [.. Directory.GetFileSystemEntries(folder.At("checkpoints")).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];

    private CheckpointState? Newest() => Saves().Newest(told.Add);

    [Fact]
    public void The_last_two_are_kept_and_the_best_besides()
    {
        for (var step = 1; step <= 5; step++)
            Save(Saves(), step);
        Assert.Equal(["step-00000004", "step-00000005"], Kept());
        for (var step = 6; step <= 9; step++)
            Save(Saves(best: "x"), step, best: 6);
        Assert.Equal(["step-00000006", "step-00000008", "step-00000009"], Kept());
        Assert.True(Saves().Has(6));
        Assert.False(Saves().Has(7));
    }

    [Fact]
    public void The_state_comes_back_bit_for_bit()
    {
        var before = State(7) with
        {
            FirstLoss = 0.1 + 0.2, Recent = [1e-300, 0.1], Best = BitConverter.Int64BitsToDouble(0x3FF0000000000001), BestStep = 7,
        };
        Saves().Save(optimizer, before);
        var after = Newest()!;
        Assert.Equal(before.Recent, after.Recent);
        Assert.Equal(before.Cursors, after.Cursors);
        Assert.Equal(before, after with { Recent = before.Recent, Cursors = before.Cursors });
        Assert.Empty(told);
    }

    [Theory]
    [InlineData(false, 0, new[] { 3.0, 2, 2, 1.5 }, 1.5, 4, 0)]
    [InlineData(false, 0, new[] { double.NaN, 3, double.NaN, double.NaN }, 3.0, 2, 2)]
    [InlineData(false, 0, new[] { double.PositiveInfinity, double.PositiveInfinity, 9 }, 9.0, 3, 0)]
    [InlineData(false, 0.5, new[] { 3.0, 2.6, 2.5, 2.4 }, 2.4, 4, 0)]
    [InlineData(true, 0, new[] { 0.5, 0.4, 0.7, 0.7 }, 0.7, 3, 1)]
    [InlineData(true, 0.1, new[] { 0.5, 0.59, 0.55 }, 0.5, 1, 2)]
    public void The_best_figure_is_the_one_that_gained_enough_and_is_a_number(
        bool higher,
        double minimum,
        double[] found,
        double best,
        int step,
        int stale)
    {
        var start = new CheckpointState(
            0,
            [],
            "",
            0,
            0,
            double.NaN,
            []);
        var end = found.Index().Aggregate(start, (state, one) => state.Compared(one.Item, one.Index + 1, higher, minimum));
        Assert.Equal((best, step, stale), (end.Best, end.BestStep, end.Stale));
    }

    [Fact]
    public void A_run_that_has_not_begun_has_nothing_to_go_on_from() => Assert.Null(Newest());

    [Fact]
    public void Weights_moments_and_the_step_are_put_back()
    {
        Save(Saves(), 3);
        Save(Saves(), 4);
        Saves().Restore(3, optimizer);
        Assert.All(weights, weight => Assert.All(Samples.Floats(weight.Value), x => Assert.Equal(3f, x)));
        Assert.All(
            optimizer.State().Where(pair => pair.Key != "steps").Select(pair => pair.Value),
            moment => Assert.All(Samples.Floats(moment), x => Assert.Equal(3.5f, x)));
        Assert.Equal(3, optimizer.StepsOf(0));
    }

    [Theory]
    [InlineData("weights.safetensors")]
    [InlineData("optimizer.safetensors")]
    [InlineData("state.json")]
    [InlineData("manifest.json")]
    public void A_damaged_newest_save_is_named_and_passed_over(string file)
    {
        foreach (var damage in new Action<string>[] { File.Delete, path => File.WriteAllBytes(path, []), Flip, Truncate })
        {
            Save(Saves(), 1);
            Save(Saves(), 2);
            damage(folder.At("checkpoints", "step-00000002", file));
            told.Clear();
            Assert.Equal(1, Newest()!.Step);
            Assert.Contains("step-00000002 is damaged", Assert.Single(told));
            Assert.False(Saves().Has(2));
        }
    }

    [Fact]
    public void When_all_are_damaged_each_is_named_and_none_is_used()
    {
        Save(Saves(), 1);
        Save(Saves(), 2);
        foreach (var step in Kept())
            File.Delete(folder.At("checkpoints", step, "manifest.json"));
        Assert.Null(Newest());
        Assert.Equal(2, told.Count);
        Assert.All(told, message => Assert.Contains("manifest.json is missing", message));
    }

    [Fact]
    public void What_a_killed_process_left_half_written_is_swept_away()
    {
        Save(Saves(), 1);
        Directory.CreateDirectory(folder.At("checkpoints", ".step-00000002.0123.tmp"));
        folder.Write("checkpoints/.step-00000002.0123.tmp/weights.safetensors", "half");
        Directory.CreateDirectory(folder.At("checkpoints", ".step-00000001.4567.tmp.old"));
        folder.Write("checkpoints/state.json.89.tmp", "half");
        Assert.Equal(1, Newest()!.Step);
        Assert.Equal(["step-00000001"], Kept());
    }

    [Fact]
    public void A_folder_that_is_no_save_is_left_alone()
    {
        Save(Saves(), 1);
        Directory.CreateDirectory(folder.At("checkpoints", "step-mine"));
        for (var step = 2; step < 5; step++)
            Save(Saves(), step);
        Assert.Equal(4, Newest()!.Step);
        Assert.Contains("step-mine", Kept());
    }

    private static void Flip(string path)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[^2] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    private static void Truncate(string path)
    {
        var bytes = File.ReadAllBytes(path);
        File.WriteAllBytes(path, bytes[..(bytes.Length / 2)]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Damaged_saves_do_not_push_out_sound_ones(int keep)
    {
        foreach (var step in new[] { 2, 4, 5 })
            Save(Saves(keep: 3), step);
        foreach (var damaged in new[] { 4, 5 })
            File.AppendAllText(folder.At("checkpoints", $"step-{damaged:D8}", "weights.safetensors"), "x");
        Assert.Equal(2, Newest()!.Step);
        Assert.Contains("step-00000005.damaged", string.Join('\n', told));
        Save(Saves(keep), 3);
        Assert.True(Saves().Has(3));
        Assert.Equal(keep > 1, Saves().Has(2));
        Assert.Equal(3, Newest()!.Step);
        Assert.Contains("step-00000005.damaged", Kept());
    }

    [Fact]
    public void A_manifest_that_names_no_files_is_damage()
    {
        Save(Saves(), 1);
        File.WriteAllText(folder.At("checkpoints", "step-00000001", "manifest.json"), "{}");
        Assert.Null(Newest());
        Assert.Contains("does not name the three files", told.Single());
    }

    [Fact]
    public void A_full_disk_is_told_before_anything_is_written()
    {
        long free = 0;
        Checkpoint Saves() => new(folder.At("checkpoints"), new CheckpointSettings(1, 2), _ => free);
        Assert.Contains("the disk has 0 MB left", Assert.Throws<RunFailedException>(() => Saves().CheckSpace(optimizer)).Message);
        Assert.Contains("Nothing was written", Assert.Throws<RunFailedException>(() => Saves().Save(optimizer, State(1))).Message);
        Assert.Empty(Kept());
        // Space for three checkpoints at the start; with two existing ones, for one more.
        free = 5_000_000;
        Saves().CheckSpace(optimizer);
        Assert.Throws<RunFailedException>(() => Saves().CheckSpace(optimizer, beside: 4_000_000));
        for (var step = 1; step <= 2; step++) Save(Saves(), step);
        free = 1_100_000;
        Saves().CheckSpace(optimizer);
    }
}
