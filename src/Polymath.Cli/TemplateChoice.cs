using System.CommandLine;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Text.Templates;

namespace Polymath.Cli;

/// <summary>The chat template and its variables; the same options for every verb that renders conversations.</summary>
internal sealed class TemplateChoice
{
    private readonly Option<string?> template = new("--template")
    {
        Description = "The chat template: one of the model's own by name, a shipped one (polymath template list), or a file that ends in "
            + ".jinja; the model's own when left out.",
    };

    private readonly Option<string[]> set = new("--set")
    {
        Description = "A variable for the chat template, NAME=VALUE, such as enable_thinking=false; may be given several times.",
    };

    internal void AddTo(Command command)
    {
        command.Add(template);
        command.Add(set);
    }

    /// <summary>The layout with the chosen template and variables. A variable that the template does not read is reported.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="contract">The model's layout.</param>
    /// <exception cref="InputException">There is no such template, or a variable has no name.</exception>
    internal TextContract Apply(ParseResult parsed, TextContract contract)
    {
        if (parsed.GetValue(template) is { } name)
            contract = contract.With(name);
        var variables = Variables(parsed);
        if (variables.Count == 0)
            return contract;
        contract = contract.With(variables);
        if (contract.Idle is { } idle) Noted.Tell(idle);
        return contract;
    }

    /// <summary>The name of the template; null for the model's own.</summary>
    internal string? Name(ParseResult parsed) => parsed.GetValue(template);

    /// <summary>The variables.</summary>
    internal JsonObject Variables(ParseResult parsed)
    {
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in parsed.GetValue(set) ?? [])
        {
            if (text.Split('=', 2) is not [{ Length: > 0 } name, var value])
                throw new InputException($"--set has '{text}'; write NAME=VALUE, such as enable_thinking=false.");
            variables[name] = value;
        }
        return TemplateVariables.Of(variables);
    }
}
