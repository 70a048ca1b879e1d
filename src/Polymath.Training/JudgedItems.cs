using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Training;

/// <summary>Answers that people judged as good or bad.</summary>
static class JudgedItems
{
    /// <summary>The items of some rows.</summary>
    /// <param name="stage">The stage's name, for messages.</param>
    /// <param name="rows">Rows of the shape kto.</param>
    /// <param name="model">The model, for its layout and the marks that its rows need.</param>
    /// <param name="batch">The most tokens of a row, and what happens to longer ones; <c>cut</c> keeps the start.</param>
    /// <param name="report">Receives what is not learned of the rows.</param>
    /// <returns>The items without scores, and what became of the rows.</returns>
    /// <exception cref="InputException">A row says nothing of its answer, an answer trains no token, the policy refuses a row, or there
    /// are fewer than two rows.</exception>
    internal static (IReadOnlyList<Item> Items, RowCounts Counts) Of(
        string stage,
        IEnumerable<Row> rows,
        TextModel model,
        BatchSpec batch,
        SourceReport report)
    {
        var changes = new RowChanges();
        var read = new List<(TokenRow Row, bool Good)>();
        foreach (var row in rows)
        {
            if (row.Fields.GetValueOrDefault("label") is not ("true" or "false") || !row.Fields.ContainsKey("messages"))
                throw new InputException($"Stage {stage}: {row.Name} does not say whether its answer is good. Give its source shape: kto.");
            var rendering = model.Contract.Render(RowTalk.Last(row), model.Tokenizer);
            report.Count(rendering);
            var tokens = rendering.Tokenize(model.Tokenizer) with { Data = row.Data };
            if (tokens.Targets == 0)
                throw new InputException($"Stage {stage}: the answer of {row.Name} trains no token. Leave the row out with where, or "
                    + "choose another chat template.");
            PromptEndCheck.Refuse(stage, tokens, model.Model.PromptEnd, model.Tokenizer);
            if (Fitting(
                stage,
                row,
                tokens,
                batch,
                changes) is { } fitting)
                read.Add((fitting, row.Fields["label"] == "true"));
        }
        if (read.Count == 1)
            throw new InputException($"Stage {stage} has one row, and each is compared with the answer of another. Give it more rows.");
        var most = batch.MaxLength!.Value;
        IReadOnlyList<Item> items =
        [
            .. read.Select((one, i) => new JudgedItem(
                [one.Row],
                one.Good,
                Mismatched(one.Row, read[(i + read.Count - 1) % read.Count].Row, most),
                [])),
        ];
        return (items, changes.Of(items));
    }

    /// <summary>The items with the scores of the model at the start of the stage, which is the reference policy.</summary>
    /// <param name="items">The items.</param>
    /// <param name="model">The model.</param>
    internal static IReadOnlyList<Item> Scored(IReadOnlyList<Item> items, LanguageModel model)
    {
        var judged = items.Cast<JudgedItem>().ToList();
        var own = ReferenceScores.OfRows(judged.ConvertAll(item => item.Rows[0]), model);
        var other = ReferenceScores.OfRows(judged.ConvertAll(item => item.Mismatched), model);
        return [.. judged.Select((item, i) => item with { Reference = [own[i], other[i]] })];
    }

    // The prompt of a row with the answer of another, as it is in KTO's baseline.
    private static TokenRow Mismatched(TokenRow row, TokenRow other, int most)
    {
        var (prompt, answer) = (Array.FindIndex(row.Learn, weight => weight > 0), Array.FindIndex(other.Learn, weight => weight > 0));
        int[] ids = [.. row.Ids[..prompt], .. other.Ids[answer..]];
        float[] learn = [.. row.Learn[..prompt], .. other.Learn[answer..]];
        var length = Math.Min(ids.Length, most);
        return row with { Ids = ids[..length], Learn = learn[..length] };
    }

    private static TokenRow? Fitting(
        string stage,
        Row row,
        TokenRow tokens,
        BatchSpec batch,
        RowChanges changes)
    {
        var most = batch.MaxLength!.Value;
        if (tokens.Length <= most)
            return tokens;
        if (batch.Overlong == OverlongPolicy.Refuse)
            throw new InputException($"Stage {stage}: {row.Name} has {tokens.Length} tokens, more than the {most} allowed, and "
                + "batch.overlong is refuse. Choose cut or drop, or raise maxLength.");
        var cut = tokens with { Ids = tokens.Ids[..most], Learn = tokens.Learn[..most] };
        if (batch.Overlong == OverlongPolicy.Drop || cut.Targets == 0)
        {
            changes.Count($"left out: longer than {most:N0} tokens", true, row.Name);
            return null;
        }
        changes.Count($"cut to {most:N0} tokens", false, row.Name);
        return cut;
    }
}
