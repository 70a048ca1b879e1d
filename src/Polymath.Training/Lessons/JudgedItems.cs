using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>Answers that people judged as good or bad.</summary>
internal static class JudgedItems
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
        var answers = new AnswerRows(stage, model, batch, report);
        var read = new List<(TokenRow Row, bool Good)>();
        foreach (var row in rows)
        {
            if (row.Fields.GetValueOrDefault("label") is not ("true" or "false") || !row.Fields.ContainsKey("messages"))
                throw new InputException($"Stage {stage}: {row.Name} does not say whether its answer is good. Give its source shape: kto.");
            var answer = answers.Read(row, RowTalk.Last(row));
            answers.Check(row, answer);
            if (answers.Fitting(row, [answer]) is { } fitting) read.Add((fitting[0], row.Fields["label"] == "true"));
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
        return (items, answers.Changes.Of(items));
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
}
