using System.Text.Json;
using Polymath.Recipes;

namespace Polymath.Cli;

/// <summary>Words on the command line: words that stand for a choice, and lists separated by commas. The same for every verb.</summary>
internal static class Words
{
    /// <summary>The written form of a choice.</summary>
    internal static string Of<T>(T value) where T : struct, Enum => JsonNamingPolicy.CamelCase.ConvertName(value.ToString());

    /// <summary>The choice that a word stands for.</summary>
    /// <param name="what">The place of the word, for the message.</param>
    /// <param name="word">The word.</param>
    /// <exception cref="InputException">It stands for no choice.</exception>
    internal static T Read<T>(string what, string word) where T : struct, Enum =>
        Enum.TryParse<T>(word, ignoreCase: true, out var value) && Enum.IsDefined(value) && !char.IsDigit(word[0])
            ? value
            : throw new InputException($"{what} is '{word}'; known are {string.Join(", ", Enum.GetValues<T>().Select(Of))}.");

    /// <summary>The parts of a list.</summary>
    /// <param name="text">The list.</param>
    internal static string[] List(string text) => text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
