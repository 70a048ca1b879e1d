using System.CommandLine;
using System.CommandLine.Parsing;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>
/// Explains what is wrong with a typed command, in the user's terms: no type names, but the nearest word that was probably meant.
/// </summary>
internal static class Mistakes
{
    /// <summary>Prints every mistake once, and where to find help.</summary>
    internal static int Tell(ParseResult parsed)
    {
        List<string> mistakes = [.. Of(parsed).Distinct()];
        // Other mistakes have the library's own text.
        if (mistakes.Count == 0) mistakes = [.. parsed.Errors.Select(error => error.Message)];
        foreach (var text in mistakes) Console.Error.WriteLine($"polymath: {text}");
        Console.Error.WriteLine($"Type `{string.Join(' ', Outcome.Path(parsed.CommandResult).Prepend("polymath").Append("--help"))}` for "
            + "what can be said.");
        return Outcome.BadInput;
    }

    private static IEnumerable<string> Of(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command;
        if (command.Subcommands.Count > 0) return [Verb(command, parsed)];
        return [.. Strays(command, parsed.UnmatchedTokens), .. Missing(command, parsed), .. parsed.Errors.Select(Value).OfType<string>()];
    }

    // After a mistyped verb nothing else can be checked.
    private static string Verb(Command command, ParseResult parsed)
    {
        var path = string.Join(' ', Outcome.Path(parsed.CommandResult).Prepend("polymath"));
        List<string> known = [.. command.Subcommands.Select(verb => verb.Name)];
        if (parsed.UnmatchedTokens is not [var word, ..])
            return $"`{path}` needs to know what to do: {Nearest.Listed(known)}.";
        if (word.StartsWith('-'))
            return $"`{path}` has no option {word}. Name first what to do: {Nearest.Listed(known)}.";
        return $"`{path}` has no command '{word}'; {Nearest.Hint(word, known, "commands")}{(Nearest.To(word, known) is null ? "." : "")}";
    }

    // The word after an unknown option is treated as its value.
    private static IEnumerable<string> Strays(Command command, IReadOnlyList<string> words) =>
        words.Where((word, i) => IsOption(word) || i == 0 || !IsOption(words[i - 1])).Select(word => Stray(command, word));

    private static bool IsOption(string word) => word.StartsWith('-') && !double.TryParse(word, out _);

    private static string Stray(Command command, string word)
    {
        if (!IsOption(word)) return $"'{word}' is one word too many. Text of several words needs quotes.";
        var name = word.Split('=')[0];
        return Nearest.To(name, command.Options.Select(option => option.Name)) is { } near
            ? $"There is no option {name}; did you mean {near}?"
            : $"There is no option {name}.";
    }

    private static IEnumerable<string> Missing(Command command, ParseResult parsed)
    {
        foreach (var argument in command.Arguments)
            if (argument.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(argument) is not { Tokens.Count: > 0 })
                yield return $"<{argument.Name}> is missing: {argument.Description}";
        foreach (var option in command.Options)
            if (option.Required && parsed.GetResult(option) is null or { Implicit: true })
                yield return $"{option.Name} is missing: {option.Description}";
    }

    private static string? Value(ParseError error)
    {
        if ((error.SymbolResult as OptionResult ?? error.SymbolResult?.Parent as OptionResult) is not { Implicit: false } result)
            return null;
        var option = result.Option;
        if (result.Tokens.Count == 0) return $"{option.Name} needs a value: {option.Description}";
        return result.Tokens.Count > 1 && !option.AllowMultipleArgumentsPerToken
            ? $"{option.Name} is given {result.Tokens.Count} times. Give it once."
            : $"{option.Name} is '{result.Tokens[^1].Value}'; it must be {Wanted(option.ValueType)}.";
    }

    private static string Wanted(Type type) => (Nullable.GetUnderlyingType(type) ?? type) switch
    {
        { IsEnum: true } names =>
            "one of " + string.Join(", ", Enum.GetNames(names).Select(name => char.ToLowerInvariant(name[0]) + name[1..])),
        var number when number == typeof(int) => $"a whole number of at most {int.MaxValue}",
        var number when number == typeof(long) => "a whole number",
        var number when number == typeof(double) => "a number, such as 0.5",
        var flag when flag == typeof(bool) => "true or false, or stand alone",
        _ => "of another form",
    };
}
