using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Training;

/// <summary>Pairs of answers that people ranked.</summary>
static class PreferenceItems
{
    /// <summary>The items of some rows: the chosen answer, then the rejected one.</summary>
    /// <param name="stage">The stage's name, for messages.</param>
    /// <param name="rows">Rows of the shape preference.</param>
    /// <param name="model">The model, for its layout and the marks that its rows need.</param>
    /// <param name="batch">The most tokens of a row, and what happens to longer ones; <c>cut</c> keeps the start.</param>
    /// <param name="report">Receives what is not learned of the rows.</param>
    /// <param name="heldOut">Whether the rows are only measured: one that could not be learned from is left out.</param>
    /// <returns>The items, and what became of the pairs.</returns>
    /// <exception cref="InputException">A row is no pair, an answer trains no token, or the policy refuses a row.</exception>
    internal static (IReadOnlyList<Item> Items, RowCounts Counts) Of(
        string stage,
        IEnumerable<Row> rows,
        TextModel model,
        BatchSpec batch,
        SourceReport report,
        bool heldOut = false)
    {
        if (heldOut)
        {
            rows = rows.Where(row => row.Fields.ContainsKey("chosen") && row.Fields.ContainsKey("rejected"));
            if (batch.Overlong == OverlongPolicy.Refuse) batch = batch with { Overlong = OverlongPolicy.Cut };
        }
        var items = new List<Item>();
        var changes = new RowChanges();
        foreach (var row in rows)
        {
            if (!row.Fields.ContainsKey("chosen") || !row.Fields.ContainsKey("rejected"))
                throw new InputException($"Stage {stage}: {row.Name} has no chosen and rejected answer. Give its source shape: "
                    + "preference.");
            TokenRow[] pair = [Tokens(row, "chosen", model, report), Tokens(row, "rejected", model, report)];
            if (heldOut && pair.Any(answer => answer.Targets == 0)) continue;
            if (pair.Any(answer => answer.Targets == 0))
                throw new InputException($"Stage {stage}: an answer of {row.Name} trains no token. Leave the row out with where, or choose "
                    + "another chat template.");
            foreach (var answer in pair)
                PromptEndCheck.Refuse(stage, answer, model.Model.PromptEnd, model.Tokenizer);
            if (pair[0].Ids.AsSpan().SequenceEqual(pair[1].Ids))
                changes.Count("left out: both answers are the same", true, row.Name);
            else if (Fitting(
                stage,
                row,
                pair,
                batch,
                changes) is { } fitting)
                items.Add(new PairItem(fitting, []));
        }
        return (items, changes.Of(items));
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

    private static TokenRow[]? Fitting(
        string stage,
        Row row,
        TokenRow[] pair,
        BatchSpec batch,
        RowChanges changes)
    {
        var most = batch.MaxLength!.Value;
        if (pair.All(answer => answer.Length <= most))
            return pair;
        if (batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage}: {row.Name} has {pair.Max(answer => answer.Length)} tokens, more than the {most} "
                + "allowed, and batch.overlong is refuse. Choose cut or drop, or raise maxLength.");
        if (batch.Overlong == OverlongPolicy.Drop)
        {
            changes.Count($"left out: longer than {most:N0} tokens", true, row.Name);
            return null;
        }
        TokenRow[] cut = [.. pair.Select(answer => answer.Length <= most
            ? answer
            : answer with { Ids = answer.Ids[..most], Learn = answer.Learn[..most] })];
        if (cut.Any(answer => answer.Targets == 0) || cut[0].Ids.AsSpan().SequenceEqual(cut[1].Ids))
        {
            changes.Count($"left out: the answers do not differ within {most:N0} tokens", true, row.Name);
            return null;
        }
        changes.Count($"cut to {most:N0} tokens", false, row.Name);
        return cut;
    }

    private static TokenRow Tokens(Row row, string side, TextModel model, SourceReport report)
    {
        var rendering = model.Contract.Render(RowTalk.Side(row, side), model.Tokenizer);
        report.Count(rendering);
        return rendering.Tokenize(model.Tokenizer) with { Data = row.Data };
    }
}
