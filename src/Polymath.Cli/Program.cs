using System.CommandLine;
using Polymath.Cli;
using Polymath.Cli.Verbs;

Console.OutputEncoding = System.Text.Encoding.UTF8;
var root = new RootCommand("Polymath: a language model's whole education, from one recipe.")
{
    RunVerb.Make(), CheckVerb.Make(), RecipesVerb.Make(), SchemaVerb.Make(), ChatVerb.Make(), GenerateVerb.Make(), EvalVerb.Make(), ModelVerb.Make(), AdapterVerb.Make(), TokenizerVerb.Make(), DoctorVerb.Make(),
};
var parsed = root.Parse(args);
if (parsed.Errors.Count == 0) return parsed.Invoke();
foreach (var error in parsed.Errors) Console.Error.WriteLine($"polymath: {error.Message}");
Console.Error.WriteLine($"Type `polymath {string.Join(' ', Outcome.Path(parsed.CommandResult).Append("--help"))}` for what can be said.");
return Outcome.BadInput;
