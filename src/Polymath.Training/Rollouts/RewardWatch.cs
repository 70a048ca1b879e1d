namespace Polymath.Training.Rollouts;

/// <summary>Watches for rewards that are gamed: the score rises, and what is not learned falls, or answers only grow longer.</summary>
internal static class RewardWatch
{
    // A change of a mean that is more than chance: twice its standard error. What counts as a bias, and as growth, is set by hand.
    private const double Errors = 2, Bias = 0.5, Growth = 1.25;

    /// <summary>
    /// The correlation (Pearson) between the lengths of answers and their scores; null where either is the same for all.
    /// </summary>
    /// <param name="answers">The answers of a round.</param>
    internal static double? LengthBias(IReadOnlyList<SampledAnswer> answers)
    {
        var scored = answers.Where(answer => answer.Score is not null).ToList();
        if (scored.Count < 2) return null;
        double[] x = [.. scored.Select(answer => (double)answer.AnswerIds.Length)], y = [.. scored.Select(answer => answer.Score!.Value)];
        double mx = x.Average(), my = y.Average();
        var (xx, yy) = (x.Sum(value => (value - mx) * (value - mx)), y.Sum(value => (value - my) * (value - my)));
        return xx > 0 && yy > 1e-12 ? x.Zip(y).Sum(pair => (pair.First - mx) * (pair.Second - my)) / Math.Sqrt(xx * yy) : null;
    }

    /// <summary>What warns of it, as sentences.</summary>
    /// <param name="first">The answers of the first round.</param>
    /// <param name="now">The answers of this round.</param>
    /// <param name="probes">Rewards that are measured and not learned.</param>
    internal static IEnumerable<string> Warnings(
        IReadOnlyList<SampledAnswer> first,
        IReadOnlyList<SampledAnswer> now,
        IReadOnlyList<string> probes)
    {
        var (before, after) = (Mean.Of(first.Select(answer => answer.Score)), Mean.Of(now.Select(answer => answer.Score)));
        if (!after.IsAbove(before)) yield break;
        foreach (var probe in probes)
        {
            var (had, has) = (Of(first, probe), Of(now, probe));
            if (had.IsAbove(has))
                yield return $"the score rose from {before.Value:G3} to {after.Value:G3} while the probe {probe}, which is not learned, "
                    + $"fell from {had.Value:G3} to {has.Value:G3}: the rewards may be gamed. Look at the best answers of the round in the "
                    + "report, and make the probe a reward, raise the weight of KL, or stop earlier.";
        }
        double length = first.Average(answer => answer.AnswerIds.Length), grown = now.Average(answer => answer.AnswerIds.Length);
        if (LengthBias(now) is > Bias and var bias && grown > Growth * length)
            yield return $"answers grew from {length:F0} to {grown:F0} tokens, and longer ones score better (correlation {bias:F2}): "
                + "length itself may be rewarded. Add a reward of the kind length, or look at the rewards.";
    }

    private static Mean Of(IReadOnlyList<SampledAnswer> answers, string reward) =>
        Mean.Of(answers.Select(answer => answer.Rewards.GetValueOrDefault(reward)));

    /// <summary>A mean and its standard error.</summary>
    private sealed record Mean(double Value, double Error)
    {
        internal static Mean Of(IEnumerable<double?> values)
        {
            double[] known = [.. values.OfType<double>()];
            if (known.Length < 2) return new Mean(double.NaN, double.NaN);
            var mean = known.Average();
            return new Mean(mean, Math.Sqrt(known.Sum(value => (value - mean) * (value - mean)) / (known.Length - 1) / known.Length));
        }

        internal bool IsAbove(Mean other) =>
            Value - other.Value > Math.Max(1e-9, Errors * Math.Sqrt((Error * Error) + (other.Error * other.Error)));
    }
}
