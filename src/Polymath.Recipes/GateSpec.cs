using System.Globalization;
using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>What happens when a stage does not reach what it must.</summary>
public enum GateAction
{
    /// <summary>The run ends.</summary>
    Stop,

    /// <summary>The stage is trained again with another rate; after so many times the run ends.</summary>
    Repeat,

    /// <summary>The stages after it go on from the model before it.</summary>
    Back,
}

/// <summary>What happens when a stage does not reach what it must.</summary>
/// <param name="Action">What.</param>
/// <param name="Rate">For <c>repeat</c>, what the optimizer's rate is multiplied by each time.</param>
/// <param name="Times">For <c>repeat</c>, how often at most.</param>
[Shorthand(nameof(Action))]
public sealed record ElseSpec(
    GateAction Action = GateAction.Stop,
    [Bounds(1e-6, 1000000)] double Rate = 0.5,
    [Bounds(1, 100)] int Times = 1);

/// <summary>What a figure must be: <c>&gt;= 0.8</c>, or relative to the figure before the stage: <c>&lt;= 1.1 * before</c>.</summary>
/// <param name="Above">Whether the figure must be above the bound; below it if not.</param>
/// <param name="Strict">Whether it must not be the bound itself.</param>
/// <param name="Bound">The bound, or the factor of the figure before.</param>
/// <param name="IsRelative">Whether the bound is multiplied by the figure before the stage.</param>
public sealed partial record GateBound(
    bool Above,
    bool Strict,
    double Bound,
    bool IsRelative)
{
    /// <summary>Reads a bound; null where the text is none.</summary>
    /// <param name="text">The text.</param>
    public static GateBound? Parse(string text)
    {
        var match = Form().Match(text);
        if (!match.Success) return null;
        var number = match.Groups["number"].Success ? match.Groups["number"].Value : "1";
        return double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var bound) && double.IsFinite(bound)
            ? new GateBound(match.Groups["way"].Value == ">", !match.Groups["same"].Success, bound, match.Groups["before"].Success)
            : null;
    }

    /// <summary>Whether a figure is as it must be. What was not measured is not.</summary>
    /// <param name="value">The figure after the stage; null where it was not measured.</param>
    /// <param name="before">The figure before the stage; null where it was not measured.</param>
    public bool Holds(double? value, double? before)
    {
        if (value is not { } found || (IsRelative && before is null)) return false;
        var bound = IsRelative ? Bound * before!.Value : Bound;
        if (found == bound) return !Strict;
        return Above ? found > bound : found < bound;
    }

    [GeneratedRegex(
        @"\A\s*(?<way>[<>])(?<same>=)?\s*"
            + @"(?:(?<number>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)(?:\s*\*\s*(?<before>before))?|(?<before>before))\s*\z",
        RegexOptions.CultureInvariant)]
    private static partial Regex Form();
}
