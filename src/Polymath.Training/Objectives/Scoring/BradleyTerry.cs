using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Scoring;

/// <summary>
/// A reward model's loss of pairs (Bradley-Terry; Ouyang et al. 2022, eq. 1): −log σ(R(chosen) − R(rejected) − m) + c·(R(chosen) +
/// R(rejected))², with margins m (Touvron et al. 2023, eq. 2) and centring c (Eisenstein et al. 2023). REDUCTION: Σ over pairs / the
/// step's pairs.
/// </summary>
/// <param name="Centering">c; 0 for none.</param>
public sealed record BradleyTerry(double Centering = 0)
{
    /// <summary>The loss of each pair [pairs].</summary>
    /// <param name="chosen">The chosen answers' rewards [pairs].</param>
    /// <param name="rejected">The rejected answers' rewards [pairs].</param>
    /// <param name="margins">m [pairs]; null for none.</param>
    public Tensor Each(Tensor chosen, Tensor rejected, Tensor? margins = null)
    {
        ArgumentNullException.ThrowIfNull(chosen);
        ArgumentNullException.ThrowIfNull(rejected);
        var gaps = chosen - rejected;
        var loss = nn.functional.logsigmoid(margins is null ? gaps : gaps - margins).neg();
        return Centering == 0 ? loss : loss + (chosen + rejected).square() * Centering;
    }
}

/// <summary>
/// A process reward model's loss: whether each step of an answer is right. REDUCTION: Σ over steps / the steps of the training step.
/// </summary>
public static class ProcessReward
{
    /// <summary>
    /// One score at the end of each step (Lightman et al. 2023, section 2.6; Wang et al. 2024): the binary cross entropy [steps].
    /// </summary>
    /// <param name="scores">The logits that a step is right [steps].</param>
    /// <param name="right">1 for a right step, 0 for a wrong one, or a probability between [steps].</param>
    public static Tensor Each(Tensor scores, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(right);
        return (right * nn.functional.logsigmoid(scores) + (1 - right) * nn.functional.logsigmoid(scores.neg())).neg();
    }

    /// <summary>Two labels at the end of each step: the cross entropy [steps].</summary>
    /// <param name="logits">The logits of wrong and right [steps, 2].</param>
    /// <param name="labels">0 for a wrong step, 1 for a right one [steps], 64-bit.</param>
    public static Tensor OfLabels(Tensor logits, Tensor labels) => TokenLogits.LogProbabilities(logits, labels).neg();
}
