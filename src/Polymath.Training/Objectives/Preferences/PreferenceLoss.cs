using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// A loss of pairs. REDUCTION: Σ over pairs / what the loss counts in the step, which is pairs unless the loss says otherwise.
/// </summary>
public abstract record PreferenceLoss
{
    /// <summary>The loss of each pair [pairs].</summary>
    /// <param name="pairs">The pairs.</param>
    public abstract Tensor Each(PairScores pairs);

    /// <summary>
    /// Whether the loss of a pair depends on all pairs of the step, so that they are scored once, without gradients, before micro-batches
    /// are: see <see cref="Within"/>.
    /// </summary>
    public virtual bool NeedsStep => false;

    /// <summary>The loss for some consecutive pairs of a step, with what it needs of the others.</summary>
    /// <param name="step">All pairs of the step, without gradients.</param>
    /// <param name="first">The first pair of the micro-batch.</param>
    /// <param name="count">The pairs of the micro-batch.</param>
    public virtual PreferenceLoss Within(PairScores step, int first, int count) => this;

    /// <summary>What the sum over pairs is divided by.</summary>
    /// <param name="step">The counts of the whole step.</param>
    public virtual double CountOf(StepCounts step) => step.Rows;

    /// <summary>Σ of the pairs' losses / what is counted in the step, a scalar.</summary>
    /// <param name="pairs">The pairs of a micro-batch.</param>
    /// <param name="step">The counts of the whole step.</param>
    /// <param name="weights">A weight for each pair [pairs], without a gradient; null for 1.</param>
    public virtual Tensor Sum(PairScores pairs, StepCounts step, Tensor? weights = null)
    {
        var each = Each(pairs);
        return (weights is null ? each : each * weights).sum() / CountOf(step);
    }

    /// <summary>
    /// −log σ(x)·(1 − ε) − log σ(−x)·ε: the logistic loss of labels that are wrong with the probability ε.
    /// </summary>
    /// <param name="x">The logits.</param>
    /// <param name="smoothing">ε.</param>
    protected static Tensor Logistic(Tensor x, double smoothing = 0)
    {
        ArgumentNullException.ThrowIfNull(x);
        var right = nn.functional.logsigmoid(x).neg();
        return smoothing == 0 ? right : right * (1 - smoothing) - nn.functional.logsigmoid(x.neg()) * smoothing;
    }
}

/// <summary>One loss of a mix.</summary>
/// <param name="Loss">The loss.</param>
/// <param name="Weight">Its weight.</param>
public sealed record WeightedLoss(PreferenceLoss Loss, double Weight = 1);

/// <summary>
/// Mixed preference optimization (Wang et al. 2024): a weighted sum of losses of the same pairs. The weights are not normalised. REDUCTION:
/// each loss by its own count.
/// </summary>
/// <param name="Parts">The losses.</param>
public sealed record PreferenceMix(IReadOnlyList<WeightedLoss> Parts) : PreferenceLoss
{
    /// <inheritdoc/>
    public override bool NeedsStep => Parts.Any(part => part.Loss.NeedsStep);

    /// <inheritdoc/>
    public override PreferenceLoss Within(PairScores step, int first, int count) =>
        new PreferenceMix([.. Parts.Select(part => part with { Loss = part.Loss.Within(step, first, count) })]);

    /// <summary>The losses of each pair, each as its own sum counts it: a mix of different counts exists only as a sum.</summary>
    /// <param name="pairs">The pairs.</param>
    public override Tensor Each(PairScores pairs) =>
        Parts.Select(part => part.Loss.Each(pairs) * part.Weight).Aggregate((sum, next) => sum + next);

    /// <inheritdoc/>
    public override Tensor Sum(PairScores pairs, StepCounts step, Tensor? weights = null) =>
        Parts.Select(part => part.Loss.Sum(pairs, step, weights) * part.Weight).Aggregate((sum, next) => sum + next);
}

/// <summary>
/// The chosen answers' negative log-likelihood: Σ over their tokens of −log π. REDUCTION: Σ / the chosen answers' tokens of the step.
/// </summary>
public sealed record ChosenLikelihood : PreferenceLoss
{
    /// <inheritdoc/>
    public override Tensor Each(PairScores pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        return pairs.Chosen.Policy.neg();
    }

    /// <inheritdoc/>
    public override double CountOf(StepCounts step) => step.Tokens;
}
