using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Models.Decoding;

/// <summary>Refuses to choose a token from logits that are not numbers: the choice would mean nothing.</summary>
internal static class LogitCheck
{
    /// <summary>Throws when a logit is NaN or infinite.</summary>
    /// <param name="logits">The logits [rows, vocabulary].</param>
    /// <param name="step">The number of the token that is to be chosen, from 1.</param>
    /// <exception cref="RunFailedException">A logit is not a number.</exception>
    internal static void Require(Tensor logits, int step)
    {
        using var scope = NewDisposeScope();
        if (logits.isfinite().all().item<bool>()) return;
        var what = logits.isnan().any().item<bool>() ? "not a number (NaN)" : "infinite";
        throw new RunFailedException($"Token {step:N0} of the answer cannot be chosen: the model's logits are {what}. Its weights, or an "
            + "adapter's, hold such values, or the numbers became too large on the way. Try --base float32 or --base bfloat16, leave the "
            + "adapter out, or use an earlier checkpoint.");
    }
}
