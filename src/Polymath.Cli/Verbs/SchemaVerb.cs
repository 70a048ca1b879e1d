using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli.Verbs;

/// <summary><c>polymath schema</c>: the JSON schema of recipes, for editors.</summary>
internal static class SchemaVerb
{
    internal static Command Make()
    {
        var command = new Command("schema", "Prints the JSON schema of recipes, for editors.");
        command.SetAction(_ => Outcome.Of(() =>
        {
            Console.WriteLine(RecipeSchema.Write());
            return Outcome.Done;
        }));
        return command;
    }
}
