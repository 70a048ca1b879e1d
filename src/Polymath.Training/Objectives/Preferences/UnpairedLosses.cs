using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// A loss of single answers that are good or bad, from plain log-ratios r of SUMS. REDUCTION: Σ over rows / the step's rows.
/// </summary>
public abstract record UnpairedLoss
{
    /// <summary>The loss of each answer [rows].</summary>
    /// <param name="ratios">The log-ratios r [rows].</param>
    /// <param name="good">Whether each answer is good [rows], Boolean.</param>
    /// <param name="shift">What the step subtracts: KTO's baseline, BCO's δ; 0 for a loss without one.</param>
    public abstract Tensor Each(Tensor ratios, Tensor good, double shift);

    /// <summary>Σ of the answers' losses / the step's rows, a scalar.</summary>
    /// <param name="ratios">The log-ratios r [rows].</param>
    /// <param name="good">Whether each answer is good [rows], Boolean.</param>
    /// <param name="shift">What the step subtracts.</param>
    /// <param name="stepRows">The rows of the whole step.</param>
    public Tensor Sum(Tensor ratios, Tensor good, double shift, double stepRows) => Each(ratios, good, shift).sum() / stepRows;
}

/// <summary>
/// KTO (Ethayarajh et al. 2024, eq. 8): w·(1 − σ(β(r − z))) for a good answer, w′·(1 − σ(β(z − r))) for a bad one. The
/// shift is z, see <see cref="Baseline"/>.
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="GoodWeight">w.</param>
/// <param name="BadWeight">w′.</param>
public sealed record KahnemanTverskyLoss(double Beta, double GoodWeight = 1, double BadWeight = 1) : UnpairedLoss
{
    /// <summary>
    /// z: max(0, the mean log-ratio of answers that belong to other prompts), over all mismatched rows of the STEP, without a gradient.
    /// </summary>
    /// <param name="ratios">The log-ratios of the mismatched rows [rows].</param>
    public static double Baseline(Tensor ratios)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        return Math.Max(0, ratios.detach().mean().to(ScalarType.Float64).item<double>());
    }

    /// <inheritdoc/>
    public override Tensor Each(Tensor ratios, Tensor good, double shift)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        var value = ((ratios - shift) * Beta).sigmoid();
        return where(good, (1 - value) * GoodWeight, value * BadWeight);
    }
}

/// <summary>
/// APO-zero on single answers (D'Oosterlinck et al. 2024): w·(1 − σ(βr)) for a good answer, w′·σ(βr) for a bad one, without a
/// shift.
/// </summary>
/// <param name="Beta">β.</param>
/// <param name="GoodWeight">w.</param>
/// <param name="BadWeight">w′.</param>
public sealed record UnpairedZeroLoss(double Beta, double GoodWeight = 1, double BadWeight = 1) : UnpairedLoss
{
    /// <inheritdoc/>
    public override Tensor Each(Tensor ratios, Tensor good, double shift) =>
        new KahnemanTverskyLoss(Beta, GoodWeight, BadWeight).Each(ratios, good, 0);
}

/// <summary>
/// BCO (Jung et al. 2024): −log σ(βr − δ) for a good answer, −log σ(−(βr − δ)) for a bad one. The shift is δ, the running
/// mean of all rewards βr up to and with the present STEP: see <see cref="RunningMean"/>.
/// </summary>
/// <param name="Beta">β.</param>
public sealed record BinaryLoss(double Beta) : UnpairedLoss
{
    /// <inheritdoc/>
    public override Tensor Each(Tensor ratios, Tensor good, double shift)
    {
        ArgumentNullException.ThrowIfNull(ratios);
        var logits = ratios * Beta - shift;
        return nn.functional.logsigmoid(where(good, logits, logits.neg())).neg();
    }
}

/// <summary>A mean over all values seen so far. It is part of what a run saves.</summary>
/// <param name="Mean">The mean.</param>
/// <param name="Count">The number of values.</param>
public readonly record struct RunningMean(double Mean, double Count)
{
    /// <summary>The mean with the values of one more step.</summary>
    /// <param name="sum">Σ of the step's values.</param>
    /// <param name="count">The number of the step's values.</param>
    public RunningMean With(double sum, double count) =>
        Count + count == 0 ? this : new RunningMean((Mean * Count + sum) / (Count + count), Count + count);
}
