namespace Polymath.Training.Objectives.Policies;

/// <summary>What a group's centred rewards are divided by.</summary>
public enum RewardScale
{
    /// <summary>The standard deviation of the group (GRPO, Shao et al. 2024, section 4.1.2).</summary>
    Group,

    /// <summary>The standard deviation of the whole step.</summary>
    Step,

    /// <summary>Nothing (Dr. GRPO, Liu et al. 2025).</summary>
    None,
}

/// <summary>
/// Advantages of answers among those of their group. They need all rewards of the STEP. An answer without any reward is left out of all
/// statistics and has the advantage 0. Equal rewards give 0. Standard deviations are unbiased, plus 10⁻⁴.
/// </summary>
public static class GroupAdvantages
{
    private const double Floor = 1e-4;

    /// <summary>A = (R − the group's mean)/scale, R the weighted sum of all functions' rewards.</summary>
    /// <param name="rewards">The rewards of the step.</param>
    /// <param name="groups">The group of each answer: those of one prompt.</param>
    /// <param name="scale">What is divided by.</param>
    public static double[] Of(RewardTable rewards, IReadOnlyList<int> groups, RewardScale scale = RewardScale.Group)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        var totals = rewards.Totals();
        var all = Spread.Of(totals).Deviation + Floor;
        return Known(Among(totals, groups, (reward, spread) => (reward - spread.Mean) / scale switch
        {
            RewardScale.Group => spread.Deviation + Floor,
            RewardScale.Step => all,
            _ => 1,
        }));
    }

    /// <summary>
    /// Each function's rewards are normalised within their group, their weighted sums over the whole step (GDPO, Liu et al. 2026).
    /// </summary>
    /// <param name="rewards">The rewards of the step.</param>
    /// <param name="groups">The group of each answer.</param>
    public static double[] OfEach(RewardTable rewards, IReadOnlyList<int> groups)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        var parts = Enumerable.Range(0, rewards.Functions).Select(function => Among(rewards.Of(function), groups, Normal)).ToList();
        var sums = rewards.Sums(parts);
        var all = Spread.Of(sums);
        return Known(sums.Select(sum => Normal(sum, all)));
    }

    /// <summary>
    /// Leave one out (RLOO, Ahmadian et al. 2024): A = R − the mean reward of the group's other answers; 0 for one that has no others.
    /// </summary>
    /// <param name="rewards">The reward of each answer of the step, NaN for none.</param>
    /// <param name="groups">The group of each answer.</param>
    /// <param name="normalize">Whether advantages are normalised over the step afterwards.</param>
    public static double[] LeaveOneOut(IReadOnlyList<double> rewards, IReadOnlyList<int> groups, bool normalize = false)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        var each = Among(rewards, groups, (reward, spread) =>
            spread.Count < 2 ? 0 : (reward - spread.Mean) * spread.Count / (spread.Count - 1));
        var all = Spread.Of(each);
        return Known(normalize ? each.Select(value => Normal(value, all)) : each);
    }

    /// <summary>The share of groups whose rewards are all the same, from which nothing is learned.</summary>
    /// <param name="rewards">The reward of each answer of the step, NaN for none.</param>
    /// <param name="groups">The group of each answer.</param>
    public static double WithoutSpread(IReadOnlyList<double> rewards, IReadOnlyList<int> groups)
    {
        ArgumentNullException.ThrowIfNull(rewards);
        return rewards.Select((reward, answer) => (reward, Group: groups[answer])).GroupBy(item => item.Group)
            .Average(group => Spread.Of(group.Select(item => item.reward)).Deviation < 1e-8 ? 1.0 : 0);
    }

    private static double Normal(double value, Spread spread) => (value - spread.Mean) / (spread.Deviation + Floor);

    private static double[] Among(IReadOnlyList<double> values, IReadOnlyList<int> groups, Func<double, Spread, double> of)
    {
        var spreads = values.Select((value, answer) => (value, Group: groups[answer])).GroupBy(item => item.Group)
            .ToDictionary(group => group.Key, group => Spread.Of(group.Select(item => item.value)));
        return [.. values.Select((value, answer) => of(value, spreads[groups[answer]]))];
    }

    private static double[] Known(IEnumerable<double> values) => [.. values.Select(value => double.IsNaN(value) ? 0 : value)];
}
