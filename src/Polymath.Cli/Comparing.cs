using System.Security.Cryptography;
using System.Text;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training;
using Polymath.Training.Comparison;
using Polymath.Runs;
using Polymath.Runs.Reports;

namespace Polymath.Cli;

/// <summary>
/// Runs a comparison: first the earlier stages once, then each candidate, one child process after the other. Finished parts are not run
/// again.
/// </summary>
/// <param name="plan">The plan.</param>
/// <param name="reading">The recipe.</param>
/// <param name="folder">The comparison's folder.</param>
/// <param name="from">A run whose earlier stages are used, or null.</param>
internal sealed class Comparing(TrainingPlan plan, RecipeReading reading, string folder, string? from)
{
    private const string Base = "base", Start = "start/";

    // Candidates that start alike are measured once.
    private string StartOf(Candidate candidate)
    {
        var start = plan.StartOf(candidate, BaseModel());
        return Path.Combine(
            folder,
            $"start-seed{start.Seed}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(start.ToYaml())))[..12]}.json");
    }

    private static string Measured(string run) => Path.Combine(run, "stages", "00-start", "report.json");

    /// <summary>Runs all unfinished parts.</summary>
    /// <param name="command">The command for a part.</param>
    /// <param name="stop">Requests a stop; the same command continues later.</param>
    internal ComparisonReport All(Func<string, IEnumerable<string>> command, CancellationToken stop)
    {
        var failed = new Dictionary<string, string>();
        foreach (var note in plan.Notes) Console.WriteLine(note);
        if (from is null && plan.Before() is { } before)
        {
            Fits(Base, before);
            if (!File.Exists(Path.Combine(folder, Base, "report.json")))
            {
                Console.WriteLine($"The stages before {plan.Title} are trained once...");
                Child(command(Base), Base, fault => throw new RunFailedException(fault), stop);
            }
        }
        var model = BaseModel();
        foreach (var candidate in plan.Candidates) Fits(candidate.Folder, plan.For(candidate, model));
        var done = 0;
        foreach (var candidate in plan.Candidates)
        {
            var place = Path.Combine(folder, candidate.Folder);
            var start = StartOf(candidate);
            var known = File.Exists(candidate.Shots == 0 ? start : Path.Combine(place, "report.json"));
            if (!known && !failed.ContainsKey(candidate.Name))
            {
                if (!File.Exists(start))
                    Child(command(Start + candidate.Folder), candidate.Folder, fault => failed[candidate.Name] = fault, stop);
                if (candidate.Shots != 0 && !failed.ContainsKey(candidate.Name))
                    Child(command(candidate.Folder), candidate.Folder, fault => failed[candidate.Name] = fault, stop);
            }
            Console.WriteLine($"[{++done}/{plan.Candidates.Count}] {candidate.Name}, seed {candidate.Seed}: "
                + $"{(!known && failed.TryGetValue(candidate.Name, out var why) ? why : Line(candidate, place))}"
                + (known ? " (done before)" : ""));
        }
        var report = CandidateRuns.Gather(
            plan,
            reading.OrThrow().Name,
            folder,
            failed,
            StartOf);
        AtomicFile.WriteText(Path.Combine(folder, "compare.json"), report.ToJson());
        AtomicFile.WriteText(Path.Combine(folder, "compare.html"), ComparisonPage.Render(report));
        return report;
    }

    // A finished part is not run again, so it must have the requested settings.
    private void Fits(string part, Recipe wanted)
    {
        var file = Path.Combine(folder, part, "recipe.yaml");
        if (File.Exists(file) && File.ReadAllText(file) != wanted.ToYaml())
            throw new InputException($"{folder} belongs to another comparison: {file} was trained by another recipe or other settings. "
                + "Give another folder with --run-dir, or remove this one.");
    }

    private void Child(IEnumerable<string> command, string name, Action<string> fault, CancellationToken stop)
    {
        var (code, said) = ChildCommand.Run(command, Path.Combine(folder, "logs", name + ".txt"), stop);
        if (stop.IsCancellationRequested || code == Outcome.Interrupted)
            throw new OperationCanceledException("Stopped; the state is saved. The same command continues from there.");
        if (code != Outcome.Done) fault(said.StartsWith("polymath: ", StringComparison.Ordinal) ? said["polymath: ".Length..] : said);
    }

    private string Line(Candidate candidate, string place)
    {
        if (candidate.Shots == 0)
            return $"{plan.Quality} {StageRecord.ReadFile(StartOf(candidate)).Abilities.Values[plan.Quality]:G4}, without training";
        var report = RunReport.Parse(File.ReadAllText(Path.Combine(place, "report.json")));
        var stage = report.Stages[^1];
        return $"{plan.Quality} {report.Abilities[^1].Values[plan.Quality]:G4}, {stage.TrainableParameters:N0} parameters, "
            + $"{stage.Seconds:F0} s, {stage.PeakMemoryMegabytes:N0} MB";
    }

    // The folder of the model that all candidates start from; null for the recipe's own.
    private string? BaseModel()
    {
        if (plan.BaseStage is not { } stage)
            return from is null
                ? null
                : throw new InputException($"{plan.Title} starts from the recipe's own model; there is nothing to use from {from}. Leave "
                    + "--from out.");
        return Path.GetFullPath(TextModel.Locate(from ?? Path.Combine(folder, Base), stage));
    }

    /// <summary>In a child: runs one part.</summary>
    /// <param name="part">The earlier stages, the start of a candidate, or a candidate.</param>
    internal int Do(string part)
    {
        TorchRuntime.Load();
        if (part == Base) return Train(plan.Before()!, Path.Combine(folder, Base), run => run.Go());
        var key = part.StartsWith(Start, StringComparison.Ordinal) ? part[Start.Length..] : part;
        var candidate = plan.Candidates.First(one => one.Folder == key);
        var kept = StartOf(candidate);
        if (key != part)
        {
            var (name, start) = plan.StartRun(candidate, BaseModel());
            var at = Path.Combine(folder, name);
            return Train(start, at, run =>
            {
                run.MeasureStart();
                AtomicFile.WriteText(kept, File.ReadAllText(Measured(at)));
            });
        }
        var place = Path.Combine(folder, candidate.Folder);
        return Train(plan.For(candidate, BaseModel()), place, run =>
        {
            if (!File.Exists(Measured(place)) && File.Exists(kept))
            {
                Directory.CreateDirectory(Path.GetDirectoryName(Measured(place))!);
                AtomicFile.WriteText(Measured(place), File.ReadAllText(kept));
            }
            run.Go();
        });
    }

    private int Train(Recipe recipe, string place, Action<Run> work)
    {
        using var run = Run.Open(
            new RecipeReading(
                recipe,
                [],
                reading.File,
                reading.BaseFolder,
                recipe.ToYaml()),
            place,
            fresh: false,
            stopAfter: null,
            new Terminal());
        // The terminal's interrupt reaches the child, too; the child ignores it and waits for the parent's request.
        using var interrupt = System.Runtime.InteropServices.PosixSignalRegistration.Create(
            System.Runtime.InteropServices.PosixSignal.SIGINT, signal => signal.Cancel = true);
        ChildCommand.WhenAbandoned(run.RequestStop);
        work(run);
        return Outcome.Done;
    }
}
