using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// Labels by the probability of the text behind their words, p(text | label): the channel of Min et al. (2022), in which every label is
/// equally probable, and every word of a label.
/// </summary>
/// <param name="owners">For each word, the number of its label, in the order of the labels.</param>
internal sealed class ChannelLabels(IReadOnlyList<int> owners)
{
    /// <summary>For each word, the number of its label.</summary>
    internal IReadOnlyList<int> Owners => owners;

    /// <summary>The labels' scores [n, C]: log of the mean of p(text | word) over the label's words.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">The states of the batch [tokens, hidden].</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">For each of n texts, a row for each word, whose text stands behind the row's answers' places.</param>
    internal Tensor Scores(
        LanguageModel model,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        var texts = AnsweredTexts.Of(
            model,
            hidden,
            batch,
            rows);
        var all = stack(texts.Select(own => own.sum()), 0).view(-1, owners.Count);
        var at = 0L;
        var labels = new List<Tensor>();
        foreach (var count in owners.CountBy(owner => owner).Select(pair => pair.Value))
        {
            labels.Add(Mean(all.narrow(1, at, count), 1));
            at += count;
        }
        return stack(labels, 1);
    }

    // The log of the mean of what is given as logs.
    private static Tensor Mean(Tensor logs, long dimension) => logs.logsumexp(dimension) - Math.Log((double)logs.shape[dimension]);

    /// <summary>−log p(text | label) of the right label, divided by the text's tokens, as the paper's code has it [n].</summary>
    /// <param name="texts">For each of n texts and each word of its label, log p of each token.</param>
    /// <param name="counts">For each of n texts, how many words its label has.</param>
    internal static Tensor Losses(IReadOnlyList<Tensor> texts, IReadOnlyList<int> counts)
    {
        var at = 0;
        var losses = new Tensor[counts.Count];
        for (var i = 0; i < counts.Count; i++)
        {
            var tokens = texts[at].size(0);
            losses[i] = -Mean(stack(texts.Skip(at).Take(counts[i]).Select(own => own.sum()), 0), 0) / tokens;
            at += counts[i];
        }
        return stack(losses, 0);
    }
}
