using System.CommandLine;
using Polymath.Cli.Verbs;

namespace Polymath.Cli;

/// <summary>The verbs in the order of use: train, look, use, files.</summary>
internal static class VerbGroups
{
    private const int Column = 12;

    /// <summary>The groups by title.</summary>
    internal static IReadOnlyList<(string Title, IReadOnlyList<Command> Verbs)> Make() =>
    [
        ("Train", [RunVerb.Make(), CompareVerb.Make(), CheckVerb.Make(), RecipesVerb.Make(), SchemaVerb.Make()]),
        (
            "Look",
            [
                RunsVerb.Make(),
                DataVerb.Make(),
                TemplateVerb.Make(),
                PromptVerb.Make(),
                EvalVerb.Make(),
                DeltaVerb.Make(),
                DoctorVerb.Make(),
            ]),
        ("Use", [ChatVerb.Make(), GenerateVerb.Make(), ClassifyVerb.Make(), LabelVerb.Make(), VotesVerb.Make()]),
        ("Files", [ModelVerb.Make(), AdapterVerb.Make(), TokenizerVerb.Make(), HubVerb.Make()]),
    ];

    /// <summary>Prints every verb under the title of its group.</summary>
    /// <param name="groups">The groups.</param>
    internal static void Show(IReadOnlyList<(string Title, IReadOnlyList<Command> Verbs)> groups)
    {
        Console.WriteLine("Polymath: a language model's whole education, from one recipe.");
        Console.WriteLine();
        Console.WriteLine("Usage: polymath VERB [options]      polymath VERB --help shows a verb's options");
        foreach (var (title, verbs) in groups)
        {
            Console.WriteLine();
            Console.WriteLine(title);
            foreach (var verb in verbs)
                Console.WriteLine($"  {verb.Name.PadRight(Column)}{verb.Description}");
        }
        Console.WriteLine();
        Console.WriteLine("Options");
        Console.WriteLine($"  {"--help".PadRight(Column)}Shows this page, or a verb's.");
        Console.WriteLine($"  {"--version".PadRight(Column)}Shows the version.");
    }
}
