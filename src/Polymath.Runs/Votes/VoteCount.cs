namespace Polymath.Runs;

/// <summary>Counts votes: what a majority prefers, how far people agree, and whether a side is preferred.</summary>
public static class VoteCount
{
    /// <summary>Each person's last vote on each pair: a person who votes again has thought again.</summary>
    /// <param name="votes">The votes, in their order.</param>
    public static IReadOnlyList<Vote> Last(IReadOnlyList<Vote> votes) =>
        [.. votes.GroupBy(vote => (vote.Pair, vote.Rater)).Select(group => group.Last())];

    /// <summary>The pairs of which one answer was preferred by more people, each once.</summary>
    /// <param name="votes">The votes, in their order.</param>
    public static IReadOnlyList<PreferredPair> Pairs(IReadOnlyList<Vote> votes) =>
    [
        .. Last(votes).GroupBy(vote => vote.Pair).Select(group =>
        {
            var (pair, first, second) = (
                group.Key,
                group.Count(vote => vote.Ordered == Verdict.Left),
                group.Count(vote => vote.Ordered == Verdict.Right));
            return first >= second
                ? new PreferredPair(
                    pair.Prompt,
                    pair.System,
                    pair.First,
                    pair.Second,
                    first,
                    second)
                : new PreferredPair(
                    pair.Prompt,
                    pair.System,
                    pair.Second,
                    pair.First,
                    second,
                    first);
        }).Where(pair => pair.For > pair.Against),
    ];

    /// <summary>
    /// The answers that are good or bad: the better one of a pair is good, the worse one bad, both of a tie good, both of a pair that was
    /// called bad are bad. An answer with as many for as against is left out.
    /// </summary>
    /// <param name="votes">The votes, in their order.</param>
    public static IReadOnlyList<JudgedAnswer> Judged(IReadOnlyList<Vote> votes) =>
    [
        .. Last(votes).SelectMany(vote => Said(vote)).GroupBy(said => (said.Prompt, said.System, said.Answer))
            .Select(group => (group.Key, Sum: group.Sum(said => said.IsGood ? 1 : -1)))
            .Where(pair => pair.Sum != 0)
            .Select(pair => new JudgedAnswer(
                pair.Key.Prompt,
                pair.Key.System,
                pair.Key.Answer,
                pair.Sum > 0)),
    ];

    private static IEnumerable<JudgedAnswer> Said(Vote vote)
    {
        if (vote.Verdict == Verdict.Skip) yield break;
        yield return new JudgedAnswer(vote.Prompt, vote.System, vote.Left, vote.Verdict is Verdict.Left or Verdict.Tie);
        yield return new JudgedAnswer(vote.Prompt, vote.System, vote.Right, vote.Verdict is Verdict.Right or Verdict.Tie);
    }

    /// <summary>The answers that people wrote, the last one of each person to a prompt.</summary>
    /// <param name="votes">The votes, in their order.</param>
    public static IReadOnlyList<EditedAnswer> Edits(IReadOnlyList<Vote> votes) =>
    [
        .. votes.Where(vote => vote.Edited is not null).GroupBy(vote => (vote.Prompt, vote.System, vote.Rater))
            .Select(group => new EditedAnswer(group.Key.Prompt, group.Key.System, group.Last().Edited!)).Distinct(),
    ];

    /// <summary>
    /// How far two people agree beyond chance (Cohen 1960): κ = (p_o − p_e) / (1 − p_e), over the pairs on which both voted; the
    /// categories are the two answers, a tie and both bad. NaN where they have no pair in common, or where chance alone agrees.
    /// </summary>
    /// <param name="one">A person's verdicts.</param>
    /// <param name="other">The other person's verdicts on the same pairs, in the same order.</param>
    public static double Kappa(IReadOnlyList<Verdict> one, IReadOnlyList<Verdict> other)
    {
        ArgumentNullException.ThrowIfNull(one);
        ArgumentNullException.ThrowIfNull(other);
        if (one.Count == 0) return double.NaN;
        double Share(IReadOnlyList<Verdict> verdicts, Verdict of) => verdicts.Count(verdict => verdict == of) / (double)verdicts.Count;
        var agreed = one.Zip(other).Count(pair => pair.First == pair.Second) / (double)one.Count;
        var chance = Enum.GetValues<Verdict>().Sum(verdict => Share(one, verdict) * Share(other, verdict));
        return chance < 1 ? (agreed - chance) / (1 - chance) : double.NaN;
    }

    /// <summary>The agreement of each two people who voted on the same pairs.</summary>
    /// <param name="votes">The votes, in their order.</param>
    public static IReadOnlyList<Agreement> Agreements(IReadOnlyList<Vote> votes)
    {
        var by = Last(votes).Where(vote => vote.Verdict != Verdict.Skip).GroupBy(vote => vote.Rater)
            .OrderBy(group => group.Key, StringComparer.Ordinal)
            .Select(group => (Rater: group.Key, Said: group.ToDictionary(vote => vote.Pair, vote => vote.Ordered))).ToList();
        var agreements = new List<Agreement>();
        for (var i = 0; i < by.Count; i++)
            for (var j = i + 1; j < by.Count; j++)
            {
                var common = by[i].Said.Keys.Where(by[j].Said.ContainsKey).ToList();
                if (common.Count == 0) continue;
                List<Verdict> one = common.ConvertAll(pair => by[i].Said[pair]), other = common.ConvertAll(pair => by[j].Said[pair]);
                agreements.Add(new Agreement(
                    by[i].Rater,
                    by[j].Rater,
                    common.Count,
                    one.Zip(other).Count(pair => pair.First == pair.Second) / (double)common.Count,
                    Kappa(one, other)));
            }
        return agreements;
    }

    /// <summary>
    /// Whether a side is preferred: the share of the left among votes for one side, and how probable a share so far from a half would be if
    /// the side did not matter (two-sided binomial test).
    /// </summary>
    /// <param name="votes">The votes.</param>
    public static SideBias Sides(IReadOnlyList<Vote> votes)
    {
        ArgumentNullException.ThrowIfNull(votes);
        int left = votes.Count(vote => vote.Verdict == Verdict.Left), all = left + votes.Count(vote => vote.Verdict == Verdict.Right);
        if (all == 0) return new SideBias(0, double.NaN, double.NaN);
        // log C(n, k) − n log 2, added up from the tail.
        var factorials = new double[all + 1];
        for (var n = 1; n <= all; n++) factorials[n] = factorials[n - 1] + Math.Log(n);
        double Log(int k) => factorials[all] - factorials[k] - factorials[all - k] - (all * Math.Log(2));
        var least = Log(left) + 1e-9;
        var probability = Enumerable.Range(0, all + 1).Select(Log).Where(log => log <= least).Sum(Math.Exp);
        return new SideBias(all, left / (double)all, Math.Min(1, probability));
    }
}

/// <summary>How far two people agree.</summary>
/// <param name="One">A person.</param>
/// <param name="Other">The other person.</param>
/// <param name="Pairs">The pairs on which both voted.</param>
/// <param name="Share">The share of them on which they said the same.</param>
/// <param name="Kappa">Cohen's κ; NaN where chance alone agrees.</param>
public sealed record Agreement(
    string One,
    string Other,
    int Pairs,
    double Share,
    double Kappa);

/// <summary>Whether a side is preferred.</summary>
/// <param name="Votes">The votes for one side.</param>
/// <param name="Left">The share of the left; NaN without votes.</param>
/// <param name="Probability">How probable a share so far from a half is by chance; NaN without votes.</param>
public sealed record SideBias(int Votes, double Left, double Probability);
