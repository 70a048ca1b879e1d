using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Labels' scores, read from a model by the words that stand for the labels.</summary>
public static class WordScores
{
    /// <summary>The scores [rows, C].</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows, laid out for it.</param>
    /// <param name="rows">The rows; the answer is read at their places.</param>
    /// <param name="verbalizer">The words.</param>
    /// <param name="contentFree">Rows that say nothing, by which scores are calibrated with the model as it is; none for no
    /// calibration.</param>
    public static Tensor Of(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<TokenRow> rows,
        WordVerbalizer verbalizer,
        IReadOnlyList<TokenRow> contentFree)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(verbalizer);
        ArgumentNullException.ThrowIfNull(contentFree);
        var bare = contentFree.Count == 0 ? null : Bare(model, rows, verbalizer, contentFree);
        return verbalizer.TokenScores(
            Logits(
                model,
                batch,
                rows,
                verbalizer),
            bare);
    }

    // The model itself computes logits from states: the layers before the head, the head's bias and cap, and a delta on the head.
    private static Tensor Logits(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<TokenRow> rows,
        WordVerbalizer verbalizer)
    {
        // Virtual tokens may stand before a row.
        long[] places = [.. rows.Select((row, r) =>
            (long)batch.Offsets[r + 1] - (row.Answer is { } place ? row.Length - place : 1))];
        return model.Unembed(model.Hidden(batch).index_select(0, tensor(places, device: model.Device)), verbalizer.Table.Tokens);
    }

    // The log of the tokens' mean probabilities [tokens] after the texts that say nothing; rows of one adapter stay with it.
    private static Tensor Bare(
        LanguageModel model,
        IReadOnlyList<TokenRow> rows,
        WordVerbalizer verbalizer,
        IReadOnlyList<TokenRow> contentFree)
    {
        using var frozen = no_grad();
        List<TokenRow> empty = [.. contentFree.Select(row => row with { Data = rows[0].Data })];
        using var batch = model.Lay(empty);
        return Logits(
            model,
            batch,
            empty,
            verbalizer).softmax(-1).mean([0]).log();
    }
}
