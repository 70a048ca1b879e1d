using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>
/// Labels by whole texts that a model writes behind a prompt: a label's score is the log of the sum of its texts' probabilities, each the
/// product of its tokens', or their geometric mean.
/// </summary>
/// <param name="owners">For each text, the number of its label.</param>
/// <param name="reading">Whether a text's log-probability is a mean over its tokens or a sum.</param>
internal sealed class TextLabels(IReadOnlyList<int> owners, TextReading reading)
{
    /// <summary>The labels' scores [n, C].</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">The states of the batch [tokens, hidden].</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">For each of n rows, one for each text, whose tokens stand behind the row's answers' places.</param>
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
        var all = stack(texts.Select(own => reading == TextReading.Mean ? own.mean() : own.sum()), 0).view(-1, owners.Count);
        return stack(Enumerable.Range(0, owners.Max() + 1).Select(label => all
            .index_select(1, tensor(
                Enumerable.Range(0, owners.Count).Where(text => owners[text] == label).Select(text => (long)text).ToArray(),
                device: all.device))
            .logsumexp(1)), 1);
    }
}
