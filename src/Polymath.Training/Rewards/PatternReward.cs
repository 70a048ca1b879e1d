using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>
/// 1 when the whole answer has the form its row asks for, else 0. Patterns are .NET's, so a character outside the basic plane counts as
/// two.
/// </summary>
public sealed class PatternReward : RuleReward
{
    private const string AnyOther = "*";

    private readonly string? by;
    private readonly Dictionary<string, Regex> forms;
    private readonly Regex? lacks;

    /// <summary>Compiles the patterns.</summary>
    /// <param name="spec">The patterns and the field that chooses among them.</param>
    public PatternReward(PatternRewardSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        by = spec.By;
        // Unlike $, \z does not allow a line break after the answer.
        forms = spec.Match.ToDictionary(pair => pair.Key, pair => Compile($@"\A(?:{pair.Value})\z"), StringComparer.Ordinal);
        lacks = spec.Lacks is null ? null : Compile(spec.Lacks);
    }

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        ArgumentNullException.ThrowIfNull(fields);
        if (FormOf(fields) is not { } form) return 0;
        try
        {
            return form.IsMatch(answer) && lacks?.IsMatch(answer) != true ? 1 : 0;
        }
        catch (RegexMatchTimeoutException)
        {
            return 0;
        }
    }

    private Regex? FormOf(IReadOnlyDictionary<string, string> fields) =>
        by is not null && fields.TryGetValue(by, out var value) && forms.TryGetValue(value, out var form)
            ? form
            : forms.GetValueOrDefault(AnyOther);

    private static Regex Compile(string pattern) => new(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience);
}
