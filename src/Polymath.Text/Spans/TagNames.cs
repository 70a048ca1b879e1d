using System.Globalization;
using Polymath.Recipes;

namespace Polymath.Text.Spans;

/// <summary>The tags of sentences, which some published files give as numbers.</summary>
public static class TagNames
{
    /// <summary>A tag by its name.</summary>
    /// <param name="row">The row's name in messages.</param>
    /// <param name="tag">The tag.</param>
    /// <param name="names">The tag of each number; null where they have names.</param>
    /// <exception cref="InputException">It is a number that has no name.</exception>
    public static string Of(string row, string tag, IReadOnlyList<string>? names)
    {
        if (!int.TryParse(tag, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)) return tag;
        if (names is null)
            throw new InputException($"{row} has the tag {tag}, a number. Say what the numbers are: spans: {{names: [O, B-PER, I-PER]}}.");
        return number >= 0 && number < names.Count
            ? names[number]
            : throw new InputException($"{row} has the tag {tag}, and spans.names has {names.Count} names, from 0. Write them all.");
    }
}
