using System.Globalization;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>When a stage ends because a figure of its steps has gone wrong, such as <c>kl &gt; 0.3 for 5</c>.</summary>
/// <param name="Figure">The figure, as <c>metrics.jsonl</c> names it without <c>train</c>; or <c>loss</c>, <c>gradientNorm</c>.</param>
/// <param name="Above">Whether it is wrong above the bound; below it if not.</param>
/// <param name="Bound">The bound.</param>
/// <param name="Steps">For how many steps in a row.</param>
public sealed partial record StopRule(
    string Figure,
    bool Above,
    double Bound,
    int Steps)
{
    /// <summary>Reads a rule; null where the text is none.</summary>
    /// <param name="text">The text.</param>
    public static StopRule? Parse(string text)
    {
        var match = Form().Match(text);
        if (!match.Success) return null;
        var steps = match.Groups["steps"];
        if (!double.TryParse(match.Groups["number"].Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var bound)) return null;
        var count = 1;
        var known = !steps.Success || int.TryParse(steps.Value, NumberStyles.None, CultureInfo.InvariantCulture, out count);
        if (!known || count == 0) return null;
        return new StopRule(
            match.Groups["figure"].Value,
            match.Groups["way"].Value == ">",
            bound,
            count);
    }

    /// <summary>Whether a value is wrong.</summary>
    /// <param name="value">The value.</param>
    public bool Holds(double value) => Above ? value > Bound : value < Bound;

    [GeneratedRegex(
        @"\A\s*(?<figure>\S(?:.*\S)?)\s*(?<way>[<>])\s*(?<number>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)(?:\s+for\s+(?<steps>[0-9]+))?\s*\z",
        RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
