using System.Diagnostics;
using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Text;

namespace Polymath.Tests.Cli;

/// <summary>A run that was stopped, killed or damaged ends like an uninterrupted run, bit for bit.</summary>
[Trait("kind", "invariant")]
[Collection(FinishedRun.Collection)]
public sealed class ResumeTests(FinishedRun finished)
{
    private readonly TinyRecipe recipe = finished.Recipe;

    /// <summary>All figures of a run except those that depend on the clock.</summary>
    private List<string> Figures(string run) => RunFigures.Of(recipe.At(run, "metrics.jsonl"));

    private void SameAsWhole(string run)
    {
        Assert.Equal(finished.Hash, recipe.Hash(run));
        Assert.Equal(Figures("whole"), Figures(run));
        Assert.Equal(File.ReadAllText(recipe.At("whole", "samples.jsonl")), File.ReadAllText(recipe.At(run, "samples.jsonl")));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(8)]
    [InlineData(17)]
    [InlineData(24)]
    public void A_run_that_was_stopped_goes_on_to_the_same_end(int step)
    {
        var name = $"stopped-{step}";
        var stopped = recipe.Run(name, "--stop-after-step", $"{step}");
        Assert.Equal(0, stopped.Code);
        Assert.Contains("the state is saved", stopped.Out);
        Assert.False(File.Exists(recipe.At(name, "report.json")));
        Assert.Equal(0, recipe.Run(name).Code);
        SameAsWhole(name);
    }

    [Fact]
    public void An_adapter_of_the_best_step_has_that_step_s_moments_beside_it()
    {
        // Nothing is learned at such a rate, so the first measurement stays the best.
        Assert.Equal(0, recipe.Run("flat", "--set", "stages.tell.optimizer.rate=1e-12").Code);
        var stage = recipe.At("flat", "stages", "03-tell");
        var best = (int)JsonNode.Parse(File.ReadAllText(Path.Combine(stage, "checkpoints", "step-00000007", "state.json")))!["bestStep"]!;
        Assert.Equal(2, best);
        using var moments = SafetensorsFile.Open(Path.Combine(stage, "adapter", "optimizer.safetensors"));
        using var steps = moments.Map("steps");
        Assert.Equal(best, steps.item<long>());
    }

    [Fact]
    public void A_run_whose_blocks_are_computed_anew_ends_as_the_one_that_kept_everything()
    {
        string[] set = [.. new[] { "read", "write", "tell", "please" }
            .SelectMany(stage => new[] { "--set", $"stages.{stage}.batch.gradientCheckpointing=true" })];
        var result = recipe.Run("anew", set);
        Assert.True(result.Code == 0, result.All);
        SameAsWhole("anew");
    }

    [Fact]
    public void A_run_killed_at_random_moments_goes_on_to_the_same_end()
    {
        var random = new RandomStream(20, "kills");
        int kills = 0, runs = 0;
        while (kills < 8)
        {
            var name = $"killed-{runs++}";
            bool ended;
            do
            {
                using var process = CliProgram.Start(recipe.Path, "run", "tiny.yaml", "--run-dir", name);
                ended = process.WaitForExit(300 + random.Next(2000));
                if (ended) Assert.Equal(0, CliProgram.End(process).Code);
                else
                {
                    CliProgram.Signal(process, CliProgram.Kill);
                    process.WaitForExit();
                    kills++;
                }
            }
            while (!ended && kills < 8);
            if (!ended) Assert.Equal(0, recipe.Run(name).Code);
            SameAsWhole(name);
        }
    }

    [Theory]
    [InlineData("weights.safetensors")]
    [InlineData("state.json")]
    public void A_damaged_checkpoint_is_told_and_the_one_before_it_is_used(string file)
    {
        var name = "damaged-" + file;
        Assert.Equal(0, recipe.Run(name, "--stop-after-step", "7").Code);
        var path = recipe.At(name, "stages", "01-read", "checkpoints", "step-00000007", file);
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 4;
        File.WriteAllBytes(path, bytes);
        var result = recipe.Run(name);
        Assert.Equal(0, result.Code);
        Assert.Contains("step-00000007 is damaged", result.Out);
        Assert.Contains("resumed after step 6", result.Out);
        SameAsWhole(name);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(24)]
    public void A_run_killed_while_it_measured_has_no_record_twice(int step)
    {
        var name = $"measured-{step}";
        Assert.Equal(0, recipe.Run(name, "--stop-after-step", $"{Math.Max(1, step)}").Code);
        // As if the process had ended before the last finished part was recorded.
        var last = Directory.GetDirectories(recipe.At(name, "stages"))
            .Where(stage => File.Exists(Path.Combine(stage, "report.json"))).Max(StringComparer.Ordinal)!;
        File.Delete(Path.Combine(last, "report.json"));
        foreach (var later in Directory.GetDirectories(recipe.At(name, "stages"))
            .Where(stage => StringComparer.Ordinal.Compare(stage, last) > 0))
            Directory.Delete(later, recursive: true);
        var lines = File.ReadLines(recipe.At(name, "metrics.jsonl")).ToList();
        File.WriteAllLines(
            recipe.At(name, "metrics.jsonl"), lines.Take(lines.FindLastIndex(line => line.Contains("\"after ", StringComparison.Ordinal))));
        Assert.Equal(0, recipe.Run(name).Code);
        SameAsWhole(name);
    }

    [Fact]
    public void The_same_command_on_a_finished_run_changes_nothing()
    {
        var before = Figures("whole");
        var result = recipe.Run("whole");
        Assert.Equal(0, result.Code);
        Assert.DoesNotContain("steps,", result.Out);
        Assert.Equal(before, Figures("whole"));
        Assert.Equal(finished.Hash, recipe.Hash("whole"));
    }

    [Fact]
    public void An_interrupted_run_saves_and_while_it_lives_nobody_else_comes_in()
    {
        using var process = CliProgram.Start(recipe.Path, "run", "tiny.yaml", "--run-dir", "long", "--set", "stages.0.steps=100000",
            "--set", "stages.0.evaluate.every=0", "--set", "stages.0.checkpoint.every=50000");
        var clock = Stopwatch.StartNew();
        while (!(File.Exists(recipe.At("long", "metrics.jsonl"))
            && File.ReadAllText(recipe.At("long", "metrics.jsonl")).Contains("\"step\":5,", StringComparison.Ordinal)))
        {
            Assert.False(process.HasExited);
            Assert.True(clock.Elapsed < CliProgram.Patience, "the run does not get going");
            Thread.Sleep(50);
        }
        var second = recipe.Run("long");
        Assert.Equal(2, second.Code);
        Assert.Contains("Another process uses", second.Error);

        CliProgram.Signal(process, CliProgram.Interrupt);
        var result = CliProgram.End(process);
        // Long before its hundred thousand steps.
        Assert.Equal(130, result.Code);
        var step = int.Parse(
            System.Text.RegularExpressions.Regex.Match(result.Error, "Stopped after step ([0-9]+) of read").Groups[1].Value);
        Assert.True(Directory.Exists(recipe.At("long", "stages", "01-read", "checkpoints", $"step-{step:D8}")));
        Assert.Equal(step, (int)JsonNode.Parse(Figures("long")[^1])!["step"]!);

        var shorter = recipe.Run("long");
        Assert.Equal(2, shorter.Code);
        Assert.Contains("steps, and the recipe asks for 8", shorter.Error);
        var changed = recipe.Run("long", "--set", "stages.0.optimizer.rate=0.5");
        Assert.Equal(2, changed.Code);
        Assert.Contains("belongs to another recipe", changed.Error);
        Assert.Contains("--fresh", changed.Error);
        var fresh = recipe.Run("long", "--fresh", "--stop-after-step", "1");
        Assert.Equal(0, fresh.Code);
        Assert.True(Directory.Exists(recipe.At("long.previous", "stages")));
    }
}
