using System.CommandLine;
using System.Runtime.InteropServices;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath run RECIPE</c>: trains all stages, and continues where it stopped.</summary>
internal static class RunVerb
{
    internal static Command Make()
    {
        var recipe = new Argument<string>("recipe") { Description = "The recipe's file." };
        var folder = new Option<string?>("--run-dir") { Description = "The run's folder (runs/NAME, or runs/NAME-small)." };
        var small = new Option<bool>("--small") { Description = "Applies the recipe's `small` block: the same path in under two minutes." };
        var fresh = new Option<bool>("--fresh") { Description = "Starts again; the existing run is renamed to .previous." };
        var stopAfter = new Option<int?>("--stop-after-step") { Description = "Stops, saved, once the run has made N steps in all." };
        var set = new Option<string[]>("--set") { Description = "Overrides a setting, such as stages.1.optimizer.rate=3e-4." };
        var accept = new Option<string[]>("--accept")
        {
            Description = "Continues though this has changed since the run began: data, model, code, threads.",
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command(
            "run",
            "Trains a recipe's stages; the same command continues where it stopped.")
        {
            recipe, folder, small, fresh, stopAfter, set, accept,
        };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() => Go(
            hubs,
            parsed,
            parsed.GetRequiredValue(recipe),
            parsed.GetValue(folder),
            parsed.GetValue(small),
            parsed.GetValue(fresh),
            parsed.GetValue(stopAfter),
            parsed.GetValue(set) ?? [],
            Accepted(parsed.GetValue(accept) ?? []))));
        return command;
    }

    private static List<string> Accepted(IEnumerable<string> said)
    {
        var names = said.SelectMany(text => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            .ToList();
        return names.Find(name => !Run.Acceptable.Contains(name)) is { } odd
            ? throw new InputException($"--accept is '{odd}'. {Nearest.Hint(odd, Run.Acceptable, "names")}.")
            : names;
    }

    private static int Go(
        HubUse hubs,
        ParseResult parsed,
        string file,
        string? folder,
        bool small,
        bool fresh,
        int? stopAfter,
        IReadOnlyList<string> overrides,
        IReadOnlyCollection<string> accept)
    {
        if (stopAfter < 1) throw new InputException($"--stop-after-step is {stopAfter}; it must be at least 1.");
        var reading = RecipeReader.Read(file, small, overrides);
        var recipe = reading.OrThrow();
        TorchRuntime.Load();
        var place = folder ?? Path.Combine("runs", recipe.Name + (small ? "-small" : ""));
        var terminal = new Terminal();
        using var run = terminal.Show(() => Run.Open(
            reading,
            place,
            fresh,
            stopAfter,
            terminal,
            pins => hubs.Open(parsed, terminal, pins),
            accept));
        var asked = false;
        void Ask(PosixSignalContext signal)
        {
            // A second request stops at once.
            signal.Cancel = !asked;
            if (asked) return;
            asked = true;
            terminal.Note("Stopping: finishing the step and saving the state...");
            run.RequestStop();
        }
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Ask);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Ask);
        try
        {
            var report = terminal.Show(run.Go);
            Summary.Write(report, place);
            return Outcome.Done;
        }
        catch (OperationCanceledException e) when (!asked)
        {
            Console.WriteLine(e.Message);
            return Outcome.Done;
        }
        catch (OperationCanceledException e)
        {
            throw new OperationCanceledException(
                e.Message.StartsWith("Stopped", StringComparison.Ordinal)
                    ? e.Message
                    : "Stopped; the same command continues from the last checkpoint.",
                e);
        }
    }
}
