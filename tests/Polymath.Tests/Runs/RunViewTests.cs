using System.Diagnostics;
using Polymath.Recipes;
using Polymath.Runs;
using Polymath.Runs.Reports;
using Polymath.Tests.Text;

namespace Polymath.Tests.Runs;

/// <summary>A run seen from outside, while a process works in it and afterwards.</summary>
[Trait("kind", "unit")]
public sealed class RunViewTests : IDisposable
{
    private const string Recipe = "name: tiny\nstages:\n- name: read\n  kind: pretrain\n- name: write\n  kind: finetune\n";

    private readonly ScratchFolder place = new();

    private string Folder => Path.Combine(place.Path, "run");

    [Fact]
    public void A_running_run_is_read_while_its_folder_is_locked()
    {
        using var run = RunFolder.Open(Folder, Recipe, fresh: false);
        run.Tell(RunPhase.Running, "read");
        RunFolder.Append(run.Metrics, new MetricLine("read", 3, MetricLine.Loss, 2.5) { Rate = 0.1, Time = DateTimeOffset.UnixEpoch });
        File.AppendAllText(run.Metrics, "{\"stage\": \"read\", \"st");
        var view = RunView.Open(Folder);
        Assert.Equal(RunPhase.Running, view.Phase);
        Assert.Equal(["read", "write"], view.Stages);
        var summary = RunSummary.Of(view);
        Assert.Equal(("tiny", "running", "read", 3, 2.5), (summary.Name, summary.Phase, summary.Stage, summary.Step, summary.Loss));
        Assert.Equal((0, 2), (summary.Done, summary.Stages));
    }

    [Fact]
    public void A_run_whose_process_is_gone_was_killed_and_keeps_its_id_when_it_goes_on()
    {
        using (var run = RunFolder.Open(Folder, Recipe, fresh: false))
            run.Tell(RunPhase.Running, "read");
        var id = RunView.Open(Folder).State!.Id;
        var file = Path.Combine(Folder, RunState.File);
        using var own = Process.GetCurrentProcess();
        // The number of a process that lives and began at another time.
        var began = own.StartTime.ToUniversalTime();
        File.WriteAllText(file, File.ReadAllText(file).Replace($"{began:yyyy-MM-ddTHH}", $"{began.AddYears(-1):yyyy-MM-ddTHH}"));
        Assert.Equal(RunPhase.Killed, RunView.Open(Folder).Phase);
        using (var run = RunFolder.Open(Folder, Recipe, fresh: false))
            run.Tell(RunPhase.Finished);
        Assert.Equal((RunPhase.Finished, id), (RunView.Open(Folder).Phase, RunView.Open(Folder).State!.Id));
        // What is written is what counts on another machine.
        var state = RunView.Open(Folder).State! with { Phase = RunPhase.Running, Machine = "another", Process = int.MaxValue };
        Assert.Equal(RunPhase.Running, state.Now());
        Assert.Equal(RunPhase.Killed, (state with { Machine = Environment.MachineName }).Now());
    }

    [Fact]
    public void A_damaged_state_does_not_keep_a_run_from_going_on_but_a_damaged_figure_is_named()
    {
        using (var run = RunFolder.Open(Folder, Recipe, fresh: false))
            run.Tell(RunPhase.Stopped, "read", "Stopped.");
        File.WriteAllText(Path.Combine(Folder, RunState.File), "{");
        Assert.Contains(RunState.File, Assert.Throws<InputException>(() => RunView.Open(Folder)).Message);
        using (var run = RunFolder.Open(Folder, Recipe, fresh: false))
        {
            run.Tell(RunPhase.Running);
            File.WriteAllText(run.Metrics, "nothing\n{}\n");
        }
        Assert.Contains("line 1 is no figure", Assert.Throws<InputException>(() => RunView.Open(Folder)).Message);
    }

    [Fact]
    public void Runs_are_found_in_folders_and_other_folders_are_not_runs()
    {
        foreach (var name in new[] { "a", "both/b", "both/deep/c" })
        {
            using var run = RunFolder.Open(Path.Combine(place.Path, name), Recipe, fresh: false);
            run.Tell(RunPhase.Finished);
        }
        Directory.CreateDirectory(Path.Combine(place.Path, "empty"));
        place.Write("recipe.yaml", Recipe);
        Assert.Equal(
            ["a", "both/b", "both/deep/c"],
            RunView.Find(place.Path).Select(folder => Path.GetRelativePath(place.Path, folder).Replace('\\', '/')).Order());
        Assert.Contains("is no run's folder", Assert.Throws<InputException>(() => RunView.Open(place.Path)).Message);
    }

    [Fact]
    public void A_curve_is_drawn_in_dots_from_the_upper_left_to_the_lower_right()
    {
        var lines = TextChart.Draw([(1, 4), (2, 3), (3, 2), (4, 1)], width: 2, height: 1);
        // Four columns of dots, one row of four: a falling line.
        Assert.Equal("      4.00 │⠑⢄", lines[0]);
        Assert.Equal("           └14  step", lines[1].Replace(" 4", "4"));
        Assert.Empty(TextChart.Draw([(1, double.NaN)]));
        var flat = TextChart.Draw([(1, 2), (9, 2)], width: 4, height: 2);
        Assert.Equal(3, flat.Count);
        Assert.Equal(2, string.Concat(flat.Take(2)).Count(sign => sign is > '\u2800' and <= '\u28ff'));
    }

    public void Dispose() => place.Dispose();
}
