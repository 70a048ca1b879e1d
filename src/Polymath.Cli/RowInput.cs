using System.CommandLine;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>Reads a file of rows instead of one text; the same options for every verb that answers both.</summary>
/// <param name="field">The field of a row that is answered.</param>
/// <param name="sample">A sample row.</param>
/// <param name="came">The result that is added to a row.</param>
internal sealed class RowInput(string field, string sample, string came)
{
    private readonly Option<string?> input = new("--input")
    {
        Description = $"A file with a JSON object on each line, {sample}: each is printed again with {came}. - reads standard input.",
    };
    private readonly Option<int> rows =
        new("--rows") { Description = "How many rows of --input are processed at once.", DefaultValueFactory = _ => 16 };

    internal void AddTo(Command command)
    {
        command.Add(input);
        command.Add(rows);
    }

    /// <summary>The rows and how many are processed at once; null when there is one text.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="one">The option for one text.</param>
    /// <exception cref="InputException">The options contradict each other, or the file cannot be read.</exception>
    internal (IReadOnlyList<PromptRow> Rows, int AtOnce)? Read(ParseResult parsed, Option<string?> one)
    {
        if (Place(parsed) is not var (file, atOnce)) return null;
        if (parsed.GetValue(one) is not null)
            throw new InputException($"--{field} is one {field}, --input a file of them. Give one of the two options.");
        return (PromptRow.Read(file, field), atOnce);
    }

    /// <summary>The file and how many of its rows are processed at once; null when there is one text.</summary>
    /// <param name="parsed">The command line.</param>
    /// <exception cref="InputException">The options contradict each other.</exception>
    internal (string File, int AtOnce)? Place(ParseResult parsed)
    {
        var atOnce = parsed.GetValue(rows);
        if (parsed.GetValue(input) is not { } file)
            return parsed.GetResult(rows) is { Implicit: false }
                ? throw new InputException($"--rows is how many rows of --input are processed at once, but there is one {field}. Leave "
                    + "it out, or give --input FILE.")
                : null;
        return atOnce >= 1 ? (file, atOnce) : throw new InputException($"--rows is {atOnce}; it must be 1 or more.");
    }

    /// <summary>The one text, from the option or from standard input.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="one">The option.</param>
    /// <exception cref="InputException">It is empty.</exception>
    internal string Text(ParseResult parsed, Option<string?> one)
    {
        if (parsed.GetValue(one) is null && !Console.IsInputRedirected)
            Console.Error.WriteLine($"polymath: write the {field}; Ctrl-D on a line of its own ends it.");
        var text = parsed.GetValue(one) ?? Console.In.ReadToEnd().TrimEnd('\n');
        return text.Length > 0 ? text : throw new InputException($"The {field} is empty. Give one with --{field} TEXT.");
    }
}
