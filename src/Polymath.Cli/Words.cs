using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>
/// Words on the command line: those that stand for a choice, and lists with commas between them. The same for every verb.
/// </summary>
static class Words
{
    /// <summary>A choice as it is written.</summary>
    internal static string Of<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    /// <summary>The choice that a word stands for.</summary>
    /// <param name="what">Where the word stands, for the message.</param>
    /// <param name="word">The word.</param>
    /// <exception cref="InputException">It stands for none.</exception>
    internal static T Read<T>(string what, string word) where T : struct, Enum =>
        Enum.TryParse<T>(word, ignoreCase: true, out var value) && Enum.IsDefined(value) && !char.IsDigit(word[0])
            ? value
            : throw new InputException($"{what} is '{word}'; known are {string.Join(", ", Enum.GetValues<T>().Select(Of))}.");

    /// <summary>The parts of a list.</summary>
    /// <param name="text">The list.</param>
    internal static string[] List(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
