using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// A loss between distributions over the pairs of a STEP: values are matched by rank (Melnyk et al. 2024). <see cref="Match"/> takes all
/// pairs of the step, without gradients; <see cref="Each(PairScores, Tensor, Tensor)"/> then takes each micro-batch with its part of the
/// matches; <see cref="PreferenceLoss.Within"/> does both. Plain log-ratios of SUMS are used, whatever the shape of scores. REDUCTION: Σ
/// over pairs / the step's pairs.
/// </summary>
public abstract record SortedLoss : PreferenceLoss
{
    /// <inheritdoc/>
    public override bool NeedsStep => true;

    /// <inheritdoc/>
    public override PreferenceLoss Within(PairScores step, int first, int count)
    {
        var matches = Match(step);
        return new MatchedLoss(this, matches.First.narrow(0, first, count), matches.Second.narrow(0, first, count));
    }

    /// <summary>For each pair the value that its first quantity is matched with, and its second one [pairs].</summary>
    /// <param name="step">All pairs of the step.</param>
    public abstract (Tensor First, Tensor Second) Match(PairScores step);

    /// <summary>The loss of each pair of a micro-batch [pairs].</summary>
    /// <param name="pairs">The pairs.</param>
    /// <param name="first">What their first quantities are matched with [pairs].</param>
    /// <param name="second">What their second quantities are matched with [pairs].</param>
    public abstract Tensor Each(PairScores pairs, Tensor first, Tensor second);

    /// <summary>The loss of each pair when the pairs are the whole step [pairs].</summary>
    /// <param name="pairs">The pairs of the step.</param>
    public override Tensor Each(PairScores pairs)
    {
        var (first, second) = Match(pairs);
        return Each(pairs, first, second);
    }

    /// <summary>For each value of one list the value of the same rank in the other.</summary>
    /// <param name="values">The values [n].</param>
    /// <param name="others">The others [n].</param>
    protected static Tensor Matched(Tensor values, Tensor others)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentNullException.ThrowIfNull(others);
        var ranks = values.detach().argsort().argsort();
        return others.detach().sort().Values.index_select(0, ranks);
    }
}

/// <summary>A sorted loss of the pairs of a micro-batch, with their matches among the step's.</summary>
/// <param name="Loss">The loss.</param>
/// <param name="First">What the pairs' first quantities are matched with [pairs].</param>
/// <param name="Second">What the pairs' second quantities are matched with [pairs].</param>
public sealed record MatchedLoss(SortedLoss Loss, Tensor First, Tensor Second) : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(Loss);
        return Loss.Each(pairs, First, Second);
    }
}

/// <summary>
/// AOT on pairs (Melnyk et al. 2024): the logistic loss of β·(m − m₀), the policy's margins m and the reference's margins m₀
/// matched by rank.
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Smoothing">The probability that a label is wrong.</param>
public sealed record SortedMarginLoss(double Beta, double Smoothing = 0) : SortedLoss
{
    private static Tensor Margins(PairScores pairs) => pairs.Chosen.Policy - pairs.Rejected.Policy;

    private static Tensor References(PairScores pairs) => pairs.Chosen.Reference! - pairs.Rejected.Reference!;

    /// <inheritdoc/>
    public override (Tensor First, Tensor Second) Match(PairScores step)
    {
        ArgumentNullException.ThrowIfNull(step);
        var matched = Matched(Margins(step), References(step));
        return (matched, matched);
    }

    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs, Tensor first, Tensor second)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return Logistic((Margins(pairs) - first) * Beta, Smoothing);
    }
}

/// <summary>
/// Unpaired AOT (Melnyk et al. 2024): the logistic loss of β·(r(chosen) − r(rejected)), the log-ratios of all chosen and of all
/// rejected answers matched by rank. The value of a pair is that of its chosen answer's match; the gradient of its rejected answer is that
/// of the rejected answer's match.
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="Smoothing">The probability that a label is wrong.</param>
public sealed record SortedAnswerLoss(double Beta, double Smoothing = 0) : SortedLoss
{
    /// <inheritdoc/>
    public override (Tensor First, Tensor Second) Match(PairScores step)
    {
        ArgumentNullException.ThrowIfNull(step);
        return (Matched(step.ChosenRatios, step.RejectedRatios), Matched(step.RejectedRatios, step.ChosenRatios));
    }

    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs, Tensor first, Tensor second)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        var chosen = Logistic((pairs.ChosenRatios - first) * Beta, Smoothing);
        var rejected = Logistic((second - pairs.RejectedRatios) * Beta, Smoothing);
        return chosen + rejected - rejected.detach();
    }
}
