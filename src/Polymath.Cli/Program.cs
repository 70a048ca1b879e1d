using System.CommandLine;
using System.CommandLine.Help;
using Polymath.Cli;

Console.OutputEncoding = System.Text.Encoding.UTF8;
var groups = VerbGroups.Make();
// Our own root command: the library's root shows the program's file name in the help.
var root = new Command(
    "polymath",
    "Polymath: a language model's whole education, from one recipe.") { new HelpOption(), new VersionOption() };
foreach (var verb in groups.SelectMany(group => group.Verbs))
    root.Add(verb);
if (args.Length == 0)
{
    Console.WriteLine("Polymath: a language model's whole education, from one recipe.");
    Console.WriteLine("  polymath run recipes/tang.yaml --small   trains a small model in under two minutes");
    Console.WriteLine("  polymath recipes                         lists the shipped recipes");
    Console.WriteLine("  polymath doctor                          what this machine has, and what is missing");
    Console.WriteLine("  polymath --help                          every command");
    return Outcome.Done;
}
if (args is ["--help" or "-h" or "-?" or "help"])
{
    VerbGroups.Show(groups);
    return Outcome.Done;
}
var parsed = root.Parse(args);
if (parsed.Errors.Count == 0) return parsed.Invoke();
return Mistakes.Tell(parsed);
