using System.CommandLine;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Training;
using Polymath.Training.Stages;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath check RECIPE</c>: reports all faults of a recipe at once.</summary>
internal static class CheckVerb
{
    internal static Command Make()
    {
        var recipe = new Argument<string>("recipe") { Description = "The recipe's file." };
        var small = new Option<bool>("--small") { Description = "Checks it with its `small` block applied." };
        var set = new Option<string[]>("--set") { Description = "Overrides a setting first." };
        var open = new Option<bool>("--open")
        {
            Description = "Opens model and data, too, as a run would before its first step: shows rows, steps, memory and disk.",
        };
        var command = new Command("check", "Reports all that is wrong with a recipe, where, and what to type.")
        {
            recipe, small, set, open,
        };
        var hubs = new HubUse();
        hubs.AddTo(command);
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var reading = RecipeReader.Read(parsed.GetRequiredValue(recipe), parsed.GetValue(small), parsed.GetValue(set));
            var sound = reading.OrThrow();
            MethodChecks.Check(sound);
            if (parsed.GetValue(open))
                Open(reading, hubs, parsed);
            else
                Read(reading, sound);
            var visits = sound.Visits();
            var counted = visits.Count == 1 ? "1 stage" : $"{visits.Count} stages";
            Console.WriteLine($"{reading.File} is right: {counted} ({string.Join(", ", visits.Select(visit => visit.Name))}).");
            return Outcome.Done;
        }));
        return command;
    }

    private static void Read(RecipeReading reading, Recipe recipe)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(reading.File))!;
        var terminal = new Terminal(plain: Console.Error);
        foreach (var note in terminal.Show(() => SourceCheck.Notes(recipe, folder, terminal.Progress)))
            Console.WriteLine($"note: {note}");
    }

    private static void Open(RecipeReading reading, HubUse hubs, ParseResult parsed)
    {
        TorchRuntime.Load();
        var terminal = new Terminal();
        terminal.Show(() =>
        {
            OpenCheck.Open(reading, terminal, hubs.Open(parsed, terminal));
            return true;
        });
    }
}
