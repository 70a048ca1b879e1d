using System.Text.Json.Nodes;

namespace Polymath.Tests.Cli;

/// <summary>
/// A comparison from the command line: it ends with a table and a page, goes on where it stopped, and says what cannot be trained.
/// </summary>
[Trait("kind", "invariant")]
public sealed class CompareTests : IDisposable
{
    private static readonly string[] What =
        ["compare", "tiny.yaml", "--stage", "tell", "--deltas", "lora,full", "--budget", "5%", "--seeds", "2"];
    private readonly TinyRecipe recipe = new();

    public void Dispose() => recipe.Dispose();

    private CliResult Do(string folder, params string[] more) => CliProgram.Run(recipe.Path, [.. What, "--run-dir", folder, .. more]);

    // All figures that do not depend on the clock or the machine.
    private List<string> Figures(string folder) =>
        [.. JsonNode.Parse(File.ReadAllText(recipe.At(folder, "compare.json")))!["rows"]!.AsArray()
            .Select(row => $"{row!["name"]} {row["seeds"]} {row["parameters"]} {row["abilities"]!.ToJsonString()}")
            .Order(StringComparer.Ordinal)];

    [Fact]
    public void It_ends_with_a_table_and_a_page_and_goes_on_where_it_was_killed()
    {
        var whole = Do("whole");
        Assert.True(whole.Code == 0, whole.All);
        Assert.Contains("tell, ranked by kinds", whole.Out);
        Assert.Contains("[4/4] full, seed 6", whole.Out);
        var report = JsonNode.Parse(File.ReadAllText(recipe.At("whole", "compare.json")))!;
        Assert.Equal(2, report["rows"]!.AsArray().Count);
        Assert.All(report["rows"]!.AsArray(), row => Assert.Equal(2, (int)row!["seeds"]!));
        Assert.True(report["rows"]!.AsArray().Single(row => (string)row!["name"]! == "lora 5%")!["share"]!.GetValue<double>() is > 0.01
            and <= 0.05);
        var page = File.ReadAllText(recipe.At("whole", "compare.html"));
        Assert.Contains("kinds<small>against parameters trained</small>", page);
        Assert.Contains("lora 5%", page);
        Assert.DoesNotContain("<script", page);
        // The stages before are trained once, and measured once for each seed.
        Assert.True(Directory.Exists(recipe.At("whole", "base", "stages", "02-write", "model")));
        Assert.Single(Directory.GetFiles(recipe.At("whole"), "start-seed6-*.json"));

        using (var process = CliProgram.Start(recipe.Path, [.. What, "--run-dir", "killed"]))
        {
            while (!Directory.Exists(recipe.At("killed", "lora-5p-seed6")) && !process.HasExited) Thread.Sleep(20);
            CliProgram.Signal(process, CliProgram.Kill);
            process.WaitForExit();
        }
        // The child ends when its parent has ended, so its folder is free again.
        CliResult again;
        var patience = 40;
        do again = Do("killed");
        while (again.Code != 0 && again.All.Contains("Another process uses", StringComparison.Ordinal) && patience-- > 0);
        Assert.True(again.Code == 0, again.All);
        Assert.Contains("(done before)", again.Out);
        Assert.Equal(Figures("whole"), Figures("killed"));
    }

    [Fact]
    public void An_interrupt_saves_and_the_same_command_goes_on()
    {
        using (var process = CliProgram.Start(recipe.Path, [.. What, "--run-dir", "stopped"]))
        {
            while (!Directory.Exists(recipe.At("stopped", "lora-5p-seed5")) && !process.HasExited) Thread.Sleep(20);
            CliProgram.Signal(process, CliProgram.Interrupt);
            var result = CliProgram.End(process);
            Assert.Equal(130, result.Code);
            Assert.Contains("The same command continues from there", result.Error);
        }
        Assert.False(File.Exists(recipe.At("stopped", "compare.json")));
        Assert.Equal(0, Do("stopped").Code);
    }

    [Fact]
    public void What_cannot_be_trained_is_said_and_the_others_are_trained()
    {
        var result = CliProgram.Run(recipe.Path, "compare", "tiny.yaml", "--stage", "tell", "--deltas", "lora,oft", "--vary",
            "oft_block_size=7", "--vary", "oft_block_size=7", "--run-dir", "some");
        Assert.True(result.Code == 0, result.All);
        Assert.Contains("Not trained: oft oft_block_size=7: ", result.Out);
        Assert.Contains("lora", result.Out);
        // Results with other settings are not used.
        var other = CliProgram.Run(recipe.Path, "compare", "tiny.yaml", "--stage", "tell", "--deltas", "lora", "--run-dir", "some", "--set",
            "stages.tell.steps=3");
        Assert.Equal(2, other.Code);
        Assert.Contains("some belongs to another comparison: ", other.Error);
        var from = CliProgram.Run(recipe.Path, "compare", "tiny.yaml", "--stage", "tell", "--deltas", "lora", "--from", "nowhere");
        Assert.Equal(2, from.Code);
        Assert.Contains("There is no folder nowhere", from.Error);
        var wrong = CliProgram.Run(recipe.Path, "compare", "tiny.yaml", "--stage", "tell", "--deltas", "lora", "--seeds", "0");
        Assert.Equal(2, wrong.Code);
        Assert.Contains("--seeds is 0", wrong.Error);
    }
}
