using Polymath.Recipes;

namespace Polymath.Text.Prompts;

/// <summary>An example that a prompt is filled with.</summary>
/// <param name="Name">What it is called in messages.</param>
/// <param name="Fields">Its texts by name.</param>
/// <param name="Meta">Other values by name.</param>
/// <param name="Label">The number of its class, if it has one.</param>
/// <param name="Targets">The texts to be answered, one for each mask.</param>
public sealed record PromptExample(
    string Name,
    IReadOnlyDictionary<string, string> Fields,
    IReadOnlyDictionary<string, string> Meta,
    int? Label = null,
    IReadOnlyList<string>? Targets = null)
{
    /// <summary>Tokens before the prompt, such as demonstrations.</summary>
    public IReadOnlyList<int> Lead { get; init; } = [];

    /// <summary>The target of a mask.</summary>
    /// <param name="mask">The mask's number.</param>
    /// <param name="position">The mask's place in the template.</param>
    /// <exception cref="InputException">There is none.</exception>
    internal string Target(int mask, int position) => mask < (Targets?.Count ?? 0)
        ? Targets![mask]
        : throw new InputException($"The template, at character {position + 1}: {Name} has no target text for mask {mask + 1}, only "
            + $"{Targets?.Count ?? 0}. Give a text for each mask.");
}
