using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>The log-probabilities of whole answers.</summary>
/// <param name="Policy">Σ log π over each answer's tokens [answers], with a gradient.</param>
/// <param name="Reference">Σ log π₀ [answers]; null when there is no reference, which counts as 0.</param>
/// <param name="Lengths">The tokens of each answer [answers].</param>
public sealed record AnswerScores(Tensor Policy, Tensor? Reference, Tensor Lengths)
{
    /// <summary>The scores of rows.</summary>
    /// <param name="policy">log π of each token.</param>
    /// <param name="reference">log π₀ of each token, in the same layout; null for none.</param>
    /// <param name="lengths">The length of each answer, where it is more than its tokens with a log-probability; null for those.</param>
    public static AnswerScores Of(TokenValues policy, TokenValues? reference = null, IReadOnlyList<int>? lengths = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        var counts = lengths is null ? policy.Rows : new RowLayout(lengths, policy.Each.device);
        return new AnswerScores(policy.Sums(), reference?.Sums(), counts.Counts(policy.Each));
    }

    /// <summary>The log-ratios log π − log π₀ [answers].</summary>
    public Tensor Ratios() => Reference is null ? Policy : Policy - Reference;

    /// <summary>The policy's mean log-probability by token [answers], without the reference.</summary>
    public Tensor Means() => Policy / Lengths;

    /// <summary>The same with means over the tokens in place of sums, and with lengths of 1.</summary>
    public AnswerScores Averaged() => new(Means(), Reference is null ? null : Reference / Lengths, ones_like(Lengths));

    /// <summary>Some of the answers, in the order given.</summary>
    /// <param name="answers">Their numbers [n], 64-bit.</param>
    public AnswerScores Take(Tensor answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return new(Policy.index_select(0, answers), Reference?.index_select(0, answers), Lengths.index_select(0, answers));
    }
}
