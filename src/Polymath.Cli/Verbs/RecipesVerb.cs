using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath recipes</c>: lists the shipped recipes.</summary>
internal static class RecipesVerb
{
    internal static Command Make()
    {
        var command = new Command("recipes", "Lists the shipped recipes.");
        command.SetAction(_ => Outcome.Of(() =>
        {
            foreach (var file in Directory.GetFiles(Folder(), "*.yaml").Order(StringComparer.Ordinal))
            {
                var reading = RecipeReader.Read(file);
                Console.WriteLine($"{Path.GetRelativePath(Directory.GetCurrentDirectory(), file)}  "
                    + $"{reading.Recipe?.Description ?? "(has faults: polymath check)"}");
            }
            return Outcome.Done;
        }));
        return command;
    }

    // Next to the published program, or in a parent folder of the built one.
    private static string Folder()
    {
        for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (Directory.Exists(Path.Combine(at.FullName, "recipes"))) return Path.Combine(at.FullName, "recipes");
        throw new InputException("The folder of shipped recipes is missing; it belongs next to the program.");
    }
}
