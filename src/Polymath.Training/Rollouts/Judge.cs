using Polymath.Training.Rewards;

namespace Polymath.Training.Rollouts;

/// <summary>Judges answers by rewards with weights.</summary>
/// <param name="rewards">The rewards.</param>
public sealed class Judge(IReadOnlyList<(string Name, Reward Reward, double Weight)> rewards)
{
    /// <summary>The rewards' names, in order.</summary>
    public IReadOnlyList<string> Names { get; } = [.. rewards.Select(reward => reward.Name)];

    /// <summary>What each reward says of an answer.</summary>
    /// <param name="answer">The answer's text.</param>
    /// <param name="fields">The fields of the prompt's row.</param>
    public IReadOnlyDictionary<string, double> Of(string answer, IReadOnlyDictionary<string, string> fields) =>
        rewards.ToDictionary(reward => reward.Name, reward => reward.Reward.Score(answer, fields));

    /// <summary>The weighted sum.</summary>
    /// <param name="said">What each reward says.</param>
    public double Total(IReadOnlyDictionary<string, double> said) => rewards.Sum(reward => reward.Weight * said[reward.Name]);
}
