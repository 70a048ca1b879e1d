using System.CommandLine;
using System.CommandLine.Help;
using Polymath.Cli;
using Polymath.Cli.Verbs;

Console.OutputEncoding = System.Text.Encoding.UTF8;
// A root of our own: the library's takes its name in the help from the program's file.
var root = new Command("polymath", "Polymath: a language model's whole education, from one recipe.")
{
    new HelpOption(), new VersionOption(),
    RunVerb.Make(), CompareVerb.Make(), CheckVerb.Make(), RecipesVerb.Make(), SchemaVerb.Make(), ChatVerb.Make(), GenerateVerb.Make(),
    ClassifyVerb.Make(), EvalVerb.Make(), ModelVerb.Make(), AdapterVerb.Make(), DeltaVerb.Make(), DataVerb.Make(),
    TokenizerVerb.Make(), HubVerb.Make(), DoctorVerb.Make(),
};
if (args.Length == 0)
{
    Console.WriteLine("Polymath: a language model's whole education, from one recipe.");
    Console.WriteLine("  polymath run recipes/tang.yaml --small   trains a small model in under two minutes");
    Console.WriteLine("  polymath recipes                         what is shipped");
    Console.WriteLine("  polymath doctor                          what this machine has, and what is missing");
    Console.WriteLine("  polymath --help                          every command");
    return Outcome.Done;
}
var parsed = root.Parse(args);
if (parsed.Errors.Count == 0) return parsed.Invoke();
return Mistakes.Tell(parsed);
