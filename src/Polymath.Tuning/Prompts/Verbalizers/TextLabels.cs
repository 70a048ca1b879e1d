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
        long[] places = [.. rows.SelectMany(row => row.Row.Answers!
            .Select(place => (long)batch.Offsets[row.At + 1] - (row.Row.Length - place)))];
        long[] targets = [.. rows.SelectMany(row => row.Row.Answers!.Select(place => (long)row.Row.Ids[place + 1]))];
        var each = model.LogProbabilities(
            hidden.index_select(0, tensor(places, device: hidden.device)), tensor(targets, device: hidden.device));
        var at = 0L;
        var texts = new Tensor[rows.Count];
        for (var r = 0; r < rows.Count; r++)
        {
            var count = rows[r].Row.Answers!.Count;
            var own = each.narrow(0, at, count);
            texts[r] = reading == TextReading.Mean ? own.mean() : own.sum();
            at += count;
        }
        var all = stack(texts, 0).view(-1, owners.Count);
        return stack(Enumerable.Range(0, owners.Max() + 1).Select(label => all
            .index_select(1, tensor(
                Enumerable.Range(0, owners.Count).Where(text => owners[text] == label).Select(text => (long)text).ToArray(),
                device: all.device))
            .logsumexp(1)), 1);
    }
}
