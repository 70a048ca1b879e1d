using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Verbalizers;

/// <summary>The log-probabilities of texts that stand behind rows' places of answers.</summary>
internal static class AnsweredTexts
{
    /// <summary>For each row, log p of each of its text's tokens.</summary>
    /// <param name="model">The model.</param>
    /// <param name="hidden">The states of the batch [tokens, hidden].</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">The rows, each with its place in the batch.</param>
    internal static IReadOnlyList<Tensor> Of(
        LanguageModel model,
        Tensor hidden,
        Batch batch,
        IReadOnlyList<(TokenRow Row, int At)> rows)
    {
        long[] places = [.. rows.SelectMany(row => row.Row.Answers!
            .Select(place => (long)batch.PlaceOf(row.At, row.Row.Length - 1 - place)))];
        long[] targets = [.. rows.SelectMany(row => row.Row.Answers!.Select(place => (long)row.Row.Ids[place + 1]))];
        var each = model.LogProbabilities(
            hidden.index_select(0, tensor(places, device: hidden.device)), tensor(targets, device: hidden.device));
        var at = 0L;
        var texts = new Tensor[rows.Count];
        for (var r = 0; r < rows.Count; r++)
        {
            var count = rows[r].Row.Answers!.Count;
            texts[r] = each.narrow(0, at, count);
            at += count;
        }
        return texts;
    }
}
