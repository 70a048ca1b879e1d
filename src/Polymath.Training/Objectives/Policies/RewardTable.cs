namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// The rewards of a step's answers, by reward function, without tensors: they are few. NaN says that a function gave an answer no reward.
/// </summary>
/// <param name="Rewards">For each answer the reward of each function.</param>
/// <param name="Weights">The weight of each function; null for 1.</param>
public sealed record RewardTable(IReadOnlyList<IReadOnlyList<double>> Rewards, IReadOnlyList<double>? Weights = null)
{
    /// <summary>The number of reward functions.</summary>
    public int Functions => Rewards.Count == 0 ? 0 : Rewards[0].Count;

    /// <summary>One function's reward of each answer.</summary>
    /// <param name="function">The function.</param>
    public double[] Of(int function) => [.. Rewards.Select(row => row[function])];

    /// <summary>A function's weight.</summary>
    /// <param name="function">The function.</param>
    public double WeightOf(int function) => Weights is null ? 1 : Weights[function];

    /// <summary>Each answer's weighted sum of the rewards it has; NaN for an answer without any.</summary>
    public double[] Totals() => Sums([.. Enumerable.Range(0, Functions).Select(Of)]);

    /// <summary>Weighted sums over functions of what there is; NaN where there is nothing.</summary>
    internal double[] Sums(IReadOnlyList<double[]> byFunction) => [.. Rewards.Select((row, answer) =>
    {
        var parts = byFunction.Select((values, function) => values[answer] * WeightOf(function))
            .Where(part => !double.IsNaN(part)).ToList();
        return parts.Count == 0 ? double.NaN : parts.Sum();
    })];
}

/// <summary>Mean and unbiased standard deviation of the numbers that are none of them NaN.</summary>
/// <param name="Mean">The mean; NaN when there are no numbers.</param>
/// <param name="Deviation">The standard deviation; 0 for fewer than two numbers.</param>
/// <param name="Count">The numbers.</param>
public readonly record struct Spread(double Mean, double Deviation, int Count)
{
    /// <summary>The spread of values.</summary>
    /// <param name="values">The values; NaN is left out.</param>
    public static Spread Of(IEnumerable<double> values)
    {
        var kept = values.Where(value => !double.IsNaN(value)).ToList();
        if (kept.Count == 0) return new Spread(double.NaN, 0, 0);
        // Equal values have no spread, not even that of rounding.
        if (kept.TrueForAll(value => value == kept[0])) return new Spread(kept[0], 0, kept.Count);
        var mean = kept.Average();
        var squares = kept.Sum(value => (value - mean) * (value - mean));
        return new Spread(mean, Math.Sqrt(squares / (kept.Count - 1)), kept.Count);
    }
}
