using System.Text.RegularExpressions;
using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>The share of the rhyming lines that rhyme: their last characters are of one class and differ.</summary>
public sealed class RhymeReward : RuleReward
{
    private readonly int every;
    private readonly Func<int, string?> classOf;
    private readonly Regex line;

    /// <summary>Compiles the pattern of a line.</summary>
    /// <param name="spec">The rules.</param>
    /// <param name="classOf">The class of a code point; null when it has none.</param>
    public RhymeReward(RhymeRewardSpec spec, Func<int, string?> classOf)
    {
        ArgumentNullException.ThrowIfNull(spec);
        ArgumentNullException.ThrowIfNull(classOf);
        (every, this.classOf) = (spec.Every, classOf);
        line = new Regex(spec.Line, RegexOptions.CultureInvariant | RegexOptions.Compiled, Patience);
    }

    /// <inheritdoc/>
    public override double Score(string answer, IReadOnlyDictionary<string, string> fields)
    {
        ArgumentNullException.ThrowIfNull(answer);
        try
        {
            var ends = line.Matches(answer).Where(found => found.Length > 0).Where((_, i) => (i + 1) % every == 0)
                .Select(found => found.Value.EnumerateRunes().Last()).ToList();
            if (ends.Count < 2) return 0;
            var rhyming = ends.Distinct().GroupBy(end => classOf(end.Value)).Where(group => group.Key is not null)
                .Select(group => group.Count()).DefaultIfEmpty(1).Max();
            return (rhyming - 1.0) / (ends.Count - 1);
        }
        catch (RegexMatchTimeoutException)
        {
            return 0;
        }
    }
}
