using Polymath.Recipes;

namespace Polymath.Training.Comparison;

/// <summary>What is compared: every combination of these is trained on one stage, under the same data.</summary>
/// <param name="Deltas">Forms and presets by name, and <c>full</c> for every weight.</param>
/// <param name="Stage">The stage; the only one, or the last, when left out.</param>
/// <param name="Budgets">Parameter budgets, from which the sizes are computed; each form's default size when empty. A form without a size
/// is trained once.</param>
/// <param name="Roles">Choices of sockets; each form's default when empty.</param>
/// <param name="Settings">The values of each setting, for the forms that have it.</param>
/// <param name="Rates">Learning rates; the stage's own when empty.</param>
/// <param name="Seeds">The number of seeds, starting from the recipe's seed.</param>
/// <param name="Quality">The ability that ranks the candidates; the stage's first when left out.</param>
public sealed record ComparisonSpec(
    IReadOnlyList<string> Deltas,
    string? Stage = null,
    IReadOnlyList<string>? Budgets = null,
    IReadOnlyList<IReadOnlyList<Socket>>? Roles = null,
    IReadOnlyDictionary<string, IReadOnlyList<string>>? Settings = null,
    IReadOnlyList<double>? Rates = null,
    int Seeds = 1,
    string? Quality = null);

/// <summary>One training run: a candidate and a seed.</summary>
/// <param name="Name">The name of the candidate, without the seed.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Delta">The delta, or null for every weight.</param>
/// <param name="Rate">The learning rate, or null for the stage's own.</param>
public sealed record Candidate(string Name, int Seed, DeltaSpec? Delta, double? Rate)
{
    /// <summary>The stage that is trained, where stages are compared; null for the plan's one.</summary>
    public string? Stage { get; init; }

    /// <summary>The training rows of each label, where few are compared: 0 for a measurement without training; null for all rows.</summary>
    public int? Shots { get; init; }

    /// <summary>The name of its folder.</summary>
    public string Folder => $"{string.Concat(Name.Select(Fitting))}-seed{Seed}";

    private static char Fitting(char letter) => letter switch
    {
        '.' => '.',
        '%' => 'p',
        _ => char.IsAsciiLetterOrDigit(letter) ? letter : '-',
    };
}
