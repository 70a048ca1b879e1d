using Polymath.Recipes;

namespace Polymath.Training.Rewards;

/// <summary>A verifiable score of an answer. It is not learned, so the model cannot deceive it.</summary>
public abstract class Reward
{
    /// <summary>The time limit of a pattern's search in one answer; a pattern that takes longer counts as not found.</summary>
    protected static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Scores an answer.</summary>
    /// <param name="answer">The answer, as it was generated.</param>
    /// <param name="fields">The fields of the prompt's row.</param>
    /// <returns>The score, from 0 (worst) to 1 (best).</returns>
    public abstract double Score(string answer, IReadOnlyDictionary<string, string> fields);

    /// <summary>The reward a recipe asks for.</summary>
    /// <param name="spec">The reward's settings.</param>
    /// <param name="tables">Gives, for the name of a table of classes, the class of a code point; null when the class is unknown or
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
