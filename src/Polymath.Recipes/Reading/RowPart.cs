using System.Globalization;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>One of several equal parts of a source's rows, written <c>1 of 3</c>.</summary>
/// <param name="Number">Which one, from 1.</param>
/// <param name="Count">How many there are.</param>
public readonly partial record struct RowPart(int Number, int Count)
{
    /// <summary>How a part is written, for messages.</summary>
    public const string Form = "K of N with K from 1 to N, such as 1 of 3";

    /// <summary>Reads a part.</summary>
    /// <param name="text">How it is written.</param>
    /// <returns>The part; null when the text is not a part.</returns>
    public static RowPart? Parse(string text)
    {
        var match = Shape().Match(text);
        if (!match.Success || !int.TryParse(match.Groups[1].Value, CultureInfo.InvariantCulture, out var number))
            return null;
        return int.TryParse(match.Groups[2].Value, CultureInfo.InvariantCulture, out var count) && number >= 1 && number <= count
            ? new RowPart(number, count)
            : null;
    }

    [GeneratedRegex(@"\A\s*([0-9]+)\s+of\s+([0-9]+)\s*\z")]
    private static partial Regex Shape();
}
