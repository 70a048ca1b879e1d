namespace Polymath.Training.Objectives.Policies;

/// <summary>Which sampled answers are learned from. Ties go to the first answer.</summary>
public static class AnswerChoice
{
    /// <summary>
    /// Best of n: for each group, in the order in which groups first appear, the answer with the highest reward. NaN is never chosen; a
    /// group of NaN has no best.
    /// </summary>
    /// <param name="rewards">The reward of each answer.</param>
    /// <param name="groups">The group of each answer.</param>
    public static IReadOnlyList<int> Best(IReadOnlyList<double> rewards, IReadOnlyList<int> groups) =>
        [.. Grouped(rewards, groups).Where(group => group.Count > 0).Select(group => group.MaxBy(answer => rewards[answer]))];

    /// <summary>
    /// Online DPO's pairs (Guo et al. 2024): for each group its best answer, and the worst of the others. Of two equal ones the first is
    /// chosen. A group of fewer than two rewards gives none.
    /// </summary>
    /// <param name="rewards">The reward of each answer.</param>
    /// <param name="groups">The group of each answer.</param>
    public static IReadOnlyList<(int Chosen, int Rejected)> Pairs(IReadOnlyList<double> rewards, IReadOnlyList<int> groups) =>
        [.. Grouped(rewards, groups).Where(group => group.Count > 1).Select(group =>
        {
            var best = group.MaxBy(answer => rewards[answer]);
            return (best, group.Where(answer => answer != best).MinBy(answer => rewards[answer]));
        })];

    /// <summary>
    /// Dynamic sampling (DAPO, Yu et al. 2025, section 3.2): the answers of groups whose rewards differ. Others have no gradient, so that
    /// more prompts are sampled in their place.
    /// </summary>
    /// <param name="rewards">The reward of each answer.</param>
    /// <param name="groups">The group of each answer.</param>
    public static IReadOnlyList<int> OfDifferingGroups(IReadOnlyList<double> rewards, IReadOnlyList<int> groups) =>
        [.. Grouped(rewards, groups).Where(group => group.Select(answer => rewards[answer]).Distinct().Skip(1).Any())
            .SelectMany(group => group).Order()];

    private static IEnumerable<List<int>> Grouped(IReadOnlyList<double> rewards, IReadOnlyList<int> groups)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        ArgumentNullException.ThrowIfNull(groups);
        return Enumerable.Range(0, rewards.Count).GroupBy(answer => groups[answer])
            .Select(group => group.Where(answer => !double.IsNaN(rewards[answer])).ToList());
    }
}

/// <summary>
/// DAPO's punishment of long answers (Yu et al. 2025, eq. 13): 0 up to the most tokens less a buffer, then falling linearly to −1 at the
/// most tokens, −1 beyond.
/// </summary>
/// <param name="MostTokens">The limit of a row's length.</param>
/// <param name="Buffer">The tokens before the limit in which the punishment grows.</param>
public sealed record OverlongPenalty(int MostTokens, int Buffer)
{
    /// <summary>What is added to an answer's reward.</summary>
    /// <param name="tokens">The answer's tokens.</param>
    public double Of(int tokens)
    {
        if (tokens > MostTokens) return -1;
        var within = (double)(MostTokens - Buffer - tokens);
        return within >= 0 ? 0 : within / Buffer;
    }
}
