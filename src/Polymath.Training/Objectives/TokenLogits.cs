using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// What formulas need of the whole distribution at each token; each function takes logits [tokens, vocabulary] and returns [tokens]. The
/// logits are divided by the temperature, as they were when the tokens were sampled.
/// </summary>
public static class TokenLogits
{
    /// <summary>log p of the tokens.</summary>
    /// <param name="logits">The logits [tokens, vocabulary].</param>
    /// <param name="tokens">The tokens [tokens], 64-bit.</param>
    /// <param name="temperature">What the logits are divided by.</param>
    public static Tensor LogProbabilities(Tensor logits, Tensor tokens, double temperature = 1)
    {
        ArgumentNullException.ThrowIfNull(logits);
        ArgumentNullException.ThrowIfNull(tokens);
        return LogSoftmax(logits, temperature).gather(1, tokens.unsqueeze(1)).squeeze(1);
    }

    /// <summary>The entropies −Σ p·log p.</summary>
    /// <param name="logits">The logits [tokens, vocabulary].</param>
    /// <param name="temperature">What the logits are divided by.</param>
    public static Tensor Entropies(Tensor logits, double temperature = 1)
    {
        var each = LogSoftmax(logits, temperature);
        return (each.exp() * each).sum(-1).neg();
    }

    /// <summary>log Σ p², the log-probability that two samples are the same token.</summary>
    /// <param name="logits">The logits [tokens, vocabulary].</param>
    /// <param name="temperature">What the logits are divided by.</param>
    public static Tensor LogCollisions(Tensor logits, double temperature = 1) => (LogSoftmax(logits, temperature) * 2).logsumexp(-1);

    private static Tensor LogSoftmax(Tensor logits, double temperature)
    {
        ArgumentNullException.ThrowIfNull(logits);
        return (temperature == 1 ? logits : logits / temperature).log_softmax(-1);
    }
}
