using Polymath.Recipes;

namespace Polymath.Training.Comparison;

/// <summary>What is compared: every combination of these is trained on one stage, under the same data.</summary>
/// <param name="Deltas">Forms and presets by name, and <c>full</c> for every weight.</param>
/// <param name="Stage">The stage; the only one, or the last, when left out.</param>
/// <param name="Budgets">Sizes that are solved for; each form's own when there are none. A form without a size is trained once.</param>
/// <param name="Roles">Choices of sockets; each form's own when there are none.</param>
/// <param name="Settings">For each setting the values it takes, for the forms that know it.</param>
/// <param name="Rates">Learning rates; the stage's own when there are none.</param>
/// <param name="Seeds">How many seeds each is trained with, from the recipe's on.</param>
/// <param name="Quality">The ability that is ranked by; the first of the stage's when left out.</param>
public sealed record ComparisonSpec(
    IReadOnlyList<string> Deltas,
    string? Stage = null,
    IReadOnlyList<string>? Budgets = null,
    IReadOnlyList<IReadOnlyList<Socket>>? Roles = null,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Settings = null,
    IReadOnlyList<double>? Rates = null,
    int Seeds = 1,
    string? Quality = null);

/// <summary>One thing that is trained: a way, and a seed.</summary>
/// <param name="Name">What tells it from the others, seeds apart.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Delta">The delta, or null for every weight.</param>
/// <param name="Rate">The learning rate, or null for the stage's own.</param>
public sealed record Candidate(string Name, int Seed, DeltaSpec? Delta, double? Rate)
{
    /// <summary>The name of its folder.</summary>
    public string Folder =>
        $"{string.Concat(Name.Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : c == '%' ? 'p' : '-'))}-seed{Seed}";
}
