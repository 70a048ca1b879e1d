using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>Weights of answers and of tokens.</summary>
public static class PairWeights
{
    /// <summary>
    /// WPO (Zhou et al. 2024, eq. 2): exp of the mean over an answer's tokens of log p − log Σ p² [rows], without a gradient. A pair's
    /// weight is the product of its two answers' weights.
    /// </summary>
    /// <param name="policy">log π of each token.</param>
    /// <param name="logCollisions">log Σ p² at each token [tokens], see <see cref="TokenLogits.LogCollisions"/>.</param>
    public static Tensor OnPolicy(TokenValues policy, Tensor logCollisions)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.Rows.Means((policy.Each - logCollisions).detach()).exp();
    }

    /// <summary>
    /// LD-DPO (Liu et al. 2024): log-probabilities with those behind the common length of a pair multiplied by α. Rows hold a chosen and a
    /// rejected answer in turn.
    /// </summary>
    /// <param name="values">log p of each token, of the policy or of the reference.</param>
    /// <param name="alpha">α.</param>
    /// <param name="lengths">The length of each answer, where it is more than its tokens with a log-probability; null for those.</param>
    public static TokenValues Desensitized(TokenValues values, double alpha, IReadOnlyList<int>? lengths = null)
    {
        ArgumentNullException.ThrowIfNull(values);
        var counted = values.Rows.Lengths;
        var whole = lengths ?? counted;
        var weights = counted.SelectMany((length, row) =>
            Enumerable.Range(whole[row] - length, length).Select(place => place < Math.Min(whole[row], whole[row ^ 1]) ? 1.0 : alpha));
        var each = tensor(weights.ToArray(), dtype: values.Each.dtype, device: values.Each.device);
        return values with { Each = values.Each * each };
    }
}
