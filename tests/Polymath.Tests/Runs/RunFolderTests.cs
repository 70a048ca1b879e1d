using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Tests.Text;

namespace Polymath.Tests.Runs;

/// <summary>The protection of a run's folder.</summary>
[Trait("kind", "unit")]
public sealed class RunFolderTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private void Open(string recipe, bool fresh = false, string name = "run") => RunFolder.Open(folder.At(name), recipe, fresh).Dispose();

    [Fact]
    public void Beginning_anew_sets_every_earlier_run_aside()
    {
        Open("a");
        Open("b", fresh: true);
        Open("c", fresh: true);
        Open("c", fresh: true, name: "run" + Path.DirectorySeparatorChar);
        Assert.Equal(
            ["c", "a", "b", "c"],
            new[] { "run", "run.previous", "run.previous-2", "run.previous-3" }
                .Select(name => File.ReadAllText(folder.At(name, "recipe.yaml"))));
    }

    [Fact]
    public void A_run_that_was_killed_while_its_recipe_was_being_written_begins_again()
    {
        Directory.CreateDirectory(folder.At("run"));
        File.WriteAllText(folder.At("run", "run.lock"), "");
        File.WriteAllText(folder.At("run", $"recipe.yaml.{Guid.NewGuid():N}.tmp"), "half");
        Open("whole", fresh: false);
        Assert.Equal(
            ["recipe.yaml", "run.lock"],
            Directory.GetFiles(folder.At("run")).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal));
        Assert.Equal("whole", File.ReadAllText(folder.At("run", "recipe.yaml")));
    }

    [Fact]
    public void A_folder_that_holds_other_things_is_neither_used_nor_set_aside()
    {
        Directory.CreateDirectory(folder.At("documents"));
        File.WriteAllText(folder.At("documents", "letter.txt"), "dear");
        foreach (var fresh in new[] { false, true })
            Assert.Contains("holds other files than a run", Assert.Throws<InputException>(() => Open("a", fresh, "documents")).Message);
        Assert.Equal("dear", File.ReadAllText(folder.At("documents", "letter.txt")));
        Assert.Single(Directory.GetFileSystemEntries(folder.Path));
    }

    [Fact]
    public void Another_recipe_or_another_process_is_told()
    {
        using (RunFolder.Open(folder.At("run"), "a", false))
            foreach (var fresh in new[] { false, true })
                Assert.Contains("Another process uses", Assert.Throws<InputException>(() => Open("a", fresh)).Message);
        Assert.Contains("belongs to another recipe", Assert.Throws<InputException>(() => Open("b")).Message);
        Open("a");
    }

    [Fact]
    public void What_a_killed_process_left_is_cleared_away_and_what_it_moved_is_put_back()
    {
        Open("a");
        var stage = folder.At("run", "stages", "01-read");
        var unique = Guid.NewGuid().ToString("N");
        foreach (var name in new[] { $".model.{unique}.tmp", $".adapter.{unique}.tmp.old", Path.Combine("prepared", $".one.{unique}.tmp") })
        {
            Directory.CreateDirectory(Path.Combine(stage, name));
            File.WriteAllText(Path.Combine(stage, name, "x"), name);
        }
        Open("a");
        Assert.Equal(["adapter", "prepared"], Directory.GetFileSystemEntries(stage).Select(path => Path.GetFileName(path)).Order());
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(stage, "prepared")));
        Assert.True(File.Exists(Path.Combine(stage, "adapter", "x")));
    }
}
