using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>Pairs of answers that people ranked.</summary>
internal static class PreferenceItems
{
    private const string Gold = "reference";

    /// <summary>The items of some rows: the chosen answer, then the rejected one.</summary>
    /// <param name="stage">The stage's name, for messages.</param>
    /// <param name="rows">Rows of the shape preference.</param>
    /// <param name="model">The model, for its layout and the marks that its rows need.</param>
    /// <param name="batch">The most tokens of a row, and what happens to longer ones; <c>cut</c> keeps the start.</param>
    /// <param name="report">Receives what is not learned of the rows.</param>
    /// <param name="make">Makes an item of a row and its answers.</param>
    /// <param name="heldOut">Whether the rows are only measured: one that could not be learned from is left out.</param>
    /// <param name="gold">Whether a third answer follows, the one that should have been given.</param>
    /// <returns>The items, and what became of the pairs.</returns>
    /// <exception cref="InputException">A row is no pair, an answer trains no token, or the policy refuses a row.</exception>
    internal static (IReadOnlyList<Item> Items, RowCounts Counts) Of(
        string stage,
        IEnumerable<Row> rows,
        TextModel model,
        BatchSpec batch,
        SourceReport report,
        Func<Row, TokenRow[], Item> make,
        bool heldOut = false,
        bool gold = false)
    {
        if (heldOut)
        {
            rows = rows.Where(row => row.Fields.ContainsKey("chosen") && row.Fields.ContainsKey("rejected")
                && (!gold || row.Fields.ContainsKey(Gold)));
            if (batch.Overlong == OverlongPolicy.Refuse) batch = batch with { Overlong = OverlongPolicy.Cut };
        }
        var items = new List<Item>();
        var answers = new AnswerRows(stage, model, batch, report);
        foreach (var row in rows)
        {
            if (!row.Fields.ContainsKey("chosen") || !row.Fields.ContainsKey("rejected"))
                throw new InputException($"Stage {stage}: {row.Name} has no chosen and rejected answer. Give its source shape: "
                    + "preference.");
            if (gold && !row.Fields.ContainsKey(Gold))
                throw new InputException($"Stage {stage}: {row.Name} has no third answer in the column '{Gold}'. Name the column that "
                    + "holds it: fields: {reference: COLUMN}, or learn from pairs alone: by: {kind: dpo}.");
            string[] sides = gold ? ["chosen", "rejected", Gold] : ["chosen", "rejected"];
            TokenRow[] pair = [.. sides.Select(side => answers.Read(row, RowTalk.Side(row, side)))];
            if (heldOut && pair.Any(answer => answer.Targets == 0)) continue;
            foreach (var answer in pair) answers.Check(row, answer);
            if (pair[0].Ids.AsSpan().SequenceEqual(pair[1].Ids))
                answers.Changes.Count("left out: both answers are the same", true, row.Name);
            else if (answers.Fitting(row, pair) is { } fitting)
                items.Add(make(row, fitting));
        }
        return (items, answers.Changes.Of(items));
    }

    /// <summary>The pairs with their log-probabilities under the model at the start of the stage, which is the reference policy.</summary>
    /// <param name="items">The pairs.</param>
    /// <param name="model">The model.</param>
    /// <param name="lengthWeight">The weight of the tokens behind a pair's common length.</param>
    internal static IReadOnlyList<Item> Scored(IReadOnlyList<Item> items, LanguageModel model, double lengthWeight) => items.Count == 0
        ? []
        : [.. items.Zip(ReferenceScores.Of(items, model, lengthWeight), (item, sums) => new PairItem(item.Rows, sums))];

    /// <summary>Throws where no pair is left to learn from.</summary>
    /// <param name="stage">The stage's name.</param>
    /// <param name="counts">What became of the pairs.</param>
    internal static void RequireSome(string stage, RowCounts counts)
    {
        if (counts.Rows == 0)
            throw new InputException($"Stage {stage} has nothing to learn from: "
                + $"{string.Join("; ", counts.Changed.Select(change => $"{change.Rows:N0} {change.What}"))}. Raise batch.maxLength, or "
                + "name other data.");
    }
}
