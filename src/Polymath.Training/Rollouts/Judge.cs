using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rewards;

namespace Polymath.Training.Rollouts;

/// <summary>Judges answers by rewards with weights. An answer that a reward does not score is judged by the others.</summary>
/// <param name="rewards">The rewards; each is opened when the first answers are judged.</param>
public sealed class Judge(IReadOnlyList<(string Name, Func<Reward> Reward, double Weight)> rewards)
{
    /// <summary>The rewards' names, in order.</summary>
    public IReadOnlyList<string> Names { get; } = [.. rewards.Select(reward => reward.Name)];

    /// <summary>What each reward says of answers, and the weighted sum of those that say something; null for no reward.</summary>
    /// <param name="answers">The answers.</param>
    /// <param name="stop">Stops between two answers.</param>
    public IReadOnlyList<(IReadOnlyDictionary<string, double?> Said, double? Total)> Of(
        IReadOnlyList<AskedAnswer> answers,
        CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var scores = rewards.Select(reward => reward.Reward().Scores(answers, stop)).ToList();
        var table = new RewardTable(
            [.. answers.Select((_, i) => (IReadOnlyList<double>)[.. scores.Select(own => own[i])])],
            [.. rewards.Select(reward => reward.Weight)]);
        var totals = table.Totals();
        return
        [
            .. answers.Select((_, i) => (
                (IReadOnlyDictionary<string, double?>)Names.Select((name, r) => (name, Number(scores[r][i]))).ToDictionary(),
                Number(totals[i]))),
        ];
    }

    /// <summary>Why answers got no reward since this was asked last, as sentences.</summary>
    public IReadOnlyList<string> Failures() =>
    [
        .. rewards.SelectMany(reward => reward.Reward().Failures()
            .Select(failure => $"reward {reward.Name}: {failure.Value:N0} answers without a score, as the program {failure.Key}")),
    ];

    private static double? Number(double value) => double.IsFinite(value) ? value : null;
}
