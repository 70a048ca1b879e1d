using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>A verifiable score of an answer: nothing is learned, so nothing can be talked round.</summary>
public abstract class Reward
{
    /// <summary>The longest a pattern may search one answer; a pattern that takes longer has found nothing.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Scores an answer.</summary>
    /// <param name="answer">The answer, as it was generated.</param>
    /// <param name="fields">The fields of the row that prompted it.</param>
    /// <returns>The score, from 0 (worst) to 1 (best).</returns>
    public abstract double Score(string answer, IReadOnlyDictionary<string, string> fields);

    /// <summary>The reward a recipe asks for.</summary>
    /// <param name="spec">What was asked.</param>
    /// <param name="tables">From the name of a table of classes to the class of a code point; null where the class is unknown or
    /// ambiguous.</param>
    public static Reward Of(RewardSpec spec, Func<string, Func<int, string?>> tables)
    {
        ArgumentNullException.ThrowIfNull(tables);
        return spec switch
        {
            PatternRewardSpec pattern => new PatternReward(pattern),
            CharacterClassRewardSpec classes => new CharacterClassReward(classes, tables(classes.Table)),
            _ => throw new ArgumentException($"There is no reward for {spec?.GetType().Name ?? "null"}.", nameof(spec)),
        };
    }
}
