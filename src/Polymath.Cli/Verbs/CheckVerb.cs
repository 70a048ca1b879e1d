using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath check RECIPE</c>: reports all faults of a recipe at once.</summary>
static class CheckVerb
{
    internal static Command Make()
    {
        var recipe = new Argument<string>("recipe") { Description = "The recipe's file." };
        var small = new Option<bool>("--small") { Description = "Checks it with its `small` block applied." };
        var set = new Option<string[]>("--set") { Description = "Overrides a setting first." };
        var command = new Command("check", "Reports all that is wrong with a recipe, where, and what to type.") { recipe, small, set };
        command.SetAction(parsed => Outcome.Of(() =>
        {
            var reading = RecipeReader.Read(parsed.GetRequiredValue(recipe), parsed.GetValue(small), parsed.GetValue(set));
            var checkedRecipe = reading.OrThrow();
            Polymath.Training.Run.CheckMethods(checkedRecipe);
            var visits = checkedRecipe.Visits();
            var folder = Path.GetDirectoryName(Path.GetFullPath(reading.File))!;
            var terminal = new Terminal(plain: Console.Error);
            var notes = terminal.Show(() => Polymath.Training.SourceCheck.Notes(checkedRecipe, folder, terminal.Progress));
            foreach (var note in notes)
                Console.WriteLine($"note: {note}");
            Console.WriteLine($"{reading.File} is right: {visits.Count} stages ({string.Join(", ", visits.Select(visit => visit.Name))}).");
            return Outcome.Done;
        }));
        return command;
    }
}
