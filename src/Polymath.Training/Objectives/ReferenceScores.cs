using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>The reference policy's scores of answers, computed before a stage changes the model.</summary>
internal static class ReferenceScores
{
    /// <summary>The log-probability of each answer, summed over its tokens.</summary>
    /// <param name="items">The items, each a pair of rows.</param>
    /// <param name="model">The model at the start of the stage.</param>
    /// <param name="lengthWeight">The weight of the tokens behind a pair's common length.</param>
    /// <returns>For each item the sums of its rows, in order.</returns>
    internal static IEnumerable<float[]> Of(IEnumerable<Item> items, LanguageModel model, double lengthWeight)
    {
        foreach (var part in TokenChunks.Of(items, item => item.Tokens, TokenChunks.Measured))
        {
            foreach (var sums in Scored(part, model, lengthWeight))
                yield return sums;
        }
    }

    /// <summary>The log-probability of each row, summed over its learned tokens.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="model">The model at the start of the stage.</param>
    internal static float[] OfRows(IReadOnlyList<TokenRow> rows, LanguageModel model)
    {
        var all = new List<float>();
        foreach (var part in TokenChunks.Of(rows, row => row.Length, TokenChunks.Measured))
        {
            using var frozen = no_grad();
            using var scope = NewDisposeScope();
            using var batch = model.Lay(part, shares: true);
            all.AddRange(RankedPairs.RowSums(model, batch).cpu().data<float>());
        }
        return [.. all];
    }

    private static List<float[]> Scored(List<Item> part, LanguageModel model, double lengthWeight)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.Lay([.. part.SelectMany(item => item.Rows)], shares: true);
        var sums = RankedPairs.RowSums(model, batch, lengthWeight).cpu().data<float>().ToArray();
        return [.. part.Select((_, i) => new[] { sums[2 * i], sums[2 * i + 1] })];
    }
}
