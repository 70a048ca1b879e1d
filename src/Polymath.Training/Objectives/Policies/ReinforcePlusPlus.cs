using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Policies;

/// <summary>
/// Advantages of REINFORCE++ (Hu 2025): at token t the answer's reward less β times the KL of the tokens from t on; then normalised over
/// all tokens of the STEP by <see cref="Whitening"/>. The loss is <see cref="ClippedLoss"/> over <see cref="AllTokens"/>.
/// </summary>
public static class ReinforcePlusPlus
{
    /// <summary>The advantages before normalising [tokens], without a gradient.</summary>
    /// <param name="kl">KL (k1) at each token.</param>
    /// <param name="coefficient">β.</param>
    /// <param name="rewards">The reward of each row [rows]; for the variant with a baseline, less its group's mean.</param>
    public static Tensor Advantages(TokenValues kl, double coefficient, Tensor rewards)
    {
        ArgumentNullException.ThrowIfNull(kl);
        var each = kl.Each.detach();
        // The sum from t on is the row's whole sum less what comes before t; sums of other rows cancel.
        var before = each.cumsum(0) - each;
        var begins = new long[kl.Rows.Rows];
        for (var row = 1; row < begins.Length; row++) begins[row] = begins[row - 1] + kl.Rows.Lengths[row - 1];
        var starts = tensor(begins, device: each.device).clamp(max: Math.Max(0, kl.Rows.Tokens - 1));
        var inRow = before - kl.Rows.Spread(before.index_select(0, starts));
        return kl.Rows.Spread(rewards) - (kl.Rows.Spread(kl.Rows.Sums(each)) - inRow) * coefficient;
    }
}
