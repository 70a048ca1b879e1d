using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>How several answers to one question become one: those of several prompts, or of several models.</summary>
public static class JoinedAnswers
{
    /// <summary>The log-probabilities of the labels [n, C].</summary>
    /// <param name="each">The log-probabilities by each that is asked [k, n, C].</param>
    /// <param name="together">How they become one.</param>
    /// <param name="shares">The logs of their shares, up to their sum [k]; null for equal ones.</param>
    public static Tensor Of(Tensor each, PromptsTogether together, Tensor? shares = null)
    {
        ArgumentNullException.ThrowIfNull(each);
        if (each.size(0) == 1) return each[0];
        if (together == PromptsTogether.Majority)
        {
            // As many votes as name a label, and their mean probability, which is less than a vote.
            var votes = nn.functional.one_hot(each.argmax(-1), each.size(2)).to(each.dtype).sum([0]);
            return ((votes + each.exp().mean([0])) / (each.size(0) + 1)).log();
        }
        return (each + LogShares(each.size(0), shares, each.device).view(-1, 1, 1)).logsumexp(0);
    }

    /// <summary>The logs of the shares [k], whose sum is 1.</summary>
    /// <param name="count">How many are asked.</param>
    /// <param name="shares">The logs of their shares, up to their sum [k]; null for equal ones.</param>
    /// <param name="device">Where they lie.</param>
    public static Tensor LogShares(long count, Tensor? shares, Device device) =>
        shares?.log_softmax(0) ?? full([count], -(float)Math.Log(count), device: device);
}
