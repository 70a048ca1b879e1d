using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rewards;

namespace Polymath.Training.Rollouts;

/// <summary>Judges answers by rewards with weights. An answer that a reward does not score is judged by the others.</summary>
/// <param name="rewards">The rewards; each is opened when the first answers are judged.</param>
/// <param name="probes">Rewards that are measured alone and have no part in the sum.</param>
public sealed class Judge(
    IReadOnlyList<(string Name, Func<Reward> Reward, double Weight)> rewards,
    IReadOnlyList<(string Name, Func<Reward> Reward)>? probes = null)
{
    /// <summary>The rewards' names, in order.</summary>
    public IReadOnlyList<string> Names { get; } = [.. rewards.Select(reward => reward.Name)];

    /// <summary>The probes' names, in order.</summary>
    public IReadOnlyList<string> Probes { get; } = [.. (probes ?? []).Select(probe => probe.Name)];

    private IEnumerable<(string Name, Func<Reward> Reward)> All =>
        rewards.Select(reward => (reward.Name, reward.Reward)).Concat(probes ?? []);

    /// <summary>What each reward says of answers, and the weighted sum of those that say something; null for no reward.</summary>
    /// <param name="answers">The answers.</param>
    /// <param name="stop">Stops between two answers.</param>
    public IReadOnlyList<(IReadOnlyDictionary<string, double?> Said, double? Total)> Of(
        IReadOnlyList<AskedAnswer> answers,
        CancellationToken stop = default)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var scores = All.Select(reward => reward.Reward().Scores(answers, stop)).ToList();
        var table = new RewardTable(
            [.. answers.Select((_, i) => (IReadOnlyList<double>)[.. scores.Take(Names.Count).Select(own => own[i])])],
            [.. rewards.Select(reward => reward.Weight)]);
        var totals = table.Totals();
        return
        [
            .. answers.Select((_, i) => (
                (IReadOnlyDictionary<string, double?>)All.Select((reward, r) => (reward.Name, Number(scores[r][i]))).ToDictionary(),
                Number(totals[i]))),
        ];
    }

    /// <summary>Why answers got no reward since this was asked last, as sentences.</summary>
    public IReadOnlyList<string> Failures() =>
    [
        .. All.SelectMany(reward => reward.Reward().Failures()
            .Select(failure => $"reward {reward.Name}: {failure.Value:N0} answers without a score, as the program {failure.Key}")),
    ];

    private static double? Number(double value) => double.IsFinite(value) ? value : null;
}
