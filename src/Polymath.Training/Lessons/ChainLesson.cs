using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Training.Objectives;
using Polymath.Training.Stages;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Lessons;

/// <summary>
/// A task that a chain of questions asks for. Each question with a right answer is an item, and so is the last one of every row; earlier
/// answers that a row does not give are those of the model as it is before the first step.
/// </summary>
internal sealed class ChainLesson
{
    private const int AtOnce = 16;

    private readonly LessonContext context;
    private readonly AskedTask asked;
    private readonly AskedChain chain;
    private readonly string label;

    private ChainLesson(LessonContext context, AskedTask asked) =>
        (this.context, this.asked, chain, label) = (context, asked, asked.Chain!, ((TaskSpec)context.Stage.Objective).Label);

    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="asked">The task, whose soft tokens the model reads.</param>
    internal static Lesson Of(LessonContext context, AskedTask asked) => new ChainLesson(context, asked).Made();

    private Lesson Made()
    {
        var data = context.Data;
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var (items, counts) = Items(data.Rows(DataSplit.Train), context.Batch);
        if (items.Count == 0) throw data.NoRows(DataSplit.Train, counts);
        var model = context.Model.Model;
        // The longest row says before the first step whether all fit with their virtual tokens.
        if (model.VirtualTokens > 0) model.Lay([items.SelectMany(item => item.Rows).MaxBy(row => row.Length)]).Dispose();
        context.Note(counts.Told());
        context.NoteRows();
        var lenient = context.HeldOutBatch.Overlong == OverlongPolicy.Refuse
            ? context.HeldOutBatch with { Overlong = OverlongPolicy.Cut }
            : context.HeldOutBatch;
        List<Row> held =
        [
            .. data.HeldOutRows(context.HeldOutRows, context.Seed)
                .Where(row => asked.Task.Labels.Contains(row.Fields.GetValueOrDefault(label, ""))),
        ];
        return new Lesson(new AskedQuestions(chain), context.Source(items), Items(held, lenient).Items, counts);
    }

    private (IReadOnlyList<Item> Items, RowCounts Counts) Items(IReadOnlyList<Row> rows, BatchSpec batch)
    {
        var (items, changes) = (new List<Item>(), new RowChanges());
        foreach (var part in rows.Chunk(AtOnce))
        {
            var texts = asked.Task.Rules is { } rules
                ? [.. part.Select(row => Ruled(row, rules))]
                : chain.Filled(
                    context.Model.Model,
                    [.. part.Select(row => new ChainText(row.Name, row.Fields, row.Data))],
                    context.Room,
                    given: true);
            foreach (var (row, text) in part.Zip(texts))
                items.AddRange(Asked(row, text).Select(asks => Item(
                    row,
                    text,
                    asks,
                    (batch, changes))).OfType<Item>());
        }
        return (items, changes.Of(items));
    }

    // The answers of a row's label.
    private ChainText Ruled(Row row, IReadOnlyDictionary<string, IReadOnlyList<string>> rules)
    {
        var fields = new Dictionary<string, string>(row.Fields);
        foreach (var (i, question) in chain.Questions.Index()) fields[question.Name] = rules[LabelOf(row)][i];
        return new ChainText(row.Name, fields, row.Data);
    }

    private string LabelOf(Row row)
    {
        var value = row.Fields.GetValueOrDefault(label, "");
        return asked.Task.Labels.Contains(value)
            ? value
            : throw new InputException($"Stage {context.Stage.Name}: {row.Name} has the label '{value}', which no training row has. Labels "
                + $"are {string.Join(", ", asked.Task.Labels)}.");
    }

    // The questions of a row whose right answers are known, with those.
    private IEnumerable<(int Question, string Right)> Asked(Row row, ChainText text)
    {
        for (var i = 0; i < chain.Last; i++)
        {
            var question = chain.Questions[i];
            if (asked.Task.Rules is not null || (question.Field is { } field && row.Fields.GetValueOrDefault(field) is { Length: > 0 }))
                yield return (i, text.Fields[question.Name]);
        }
        var own = LabelOf(row);
        yield return (chain.Last, asked.Task.Rules is { } rules ? rules[own][chain.Last] : own);
    }

    private QuestionItem? Item(
        Row row,
        ChainText text,
        (int Question, string Right) asks,
        (BatchSpec Batch, RowChanges Changes) how)
    {
        var most = how.Batch.MaxLength!.Value;
        var written = asks.Question < chain.Last && chain.Questions[asks.Question].IsWritten;
        int Length(int room) => written
            ? chain.Answered(asks.Question, text, asks.Right, room).Length
            : chain.Rows(asks.Question, text, room).Max(one => one.Length);
        if (Length(int.MaxValue) is var length && length > most)
        {
            if (how.Batch.Overlong == OverlongPolicy.Refuse)
                throw new InputException($"Stage {context.Stage.Name}: {row.Name} has {length} tokens, more than the {most} allowed, and "
                    + "batch.overlong is refuse. Choose cut or drop, or raise maxLength.");
            var drops = how.Batch.Overlong == OverlongPolicy.Drop;
            how.Changes.Count(drops ? $"left out: longer than {most:N0} tokens" : $"cut to {most:N0} tokens", drops, row.Name);
            if (drops) return null;
        }
        if (written) return new QuestionItem([chain.Answered(asks.Question, text, asks.Right, most)], asks.Question, 0);
        var labels = chain.LabelsOf(asks.Question);
        var right = labels.ToList().IndexOf(asks.Right);
        if (right < 0)
            throw new InputException($"Stage {context.Stage.Name}: {row.Name} has the answer '{asks.Right}' to the question "
                + $"'{chain.Questions[asks.Question].Name}'; answers are {string.Join(", ", labels)}.");
        return new QuestionItem([.. chain.Rows(asks.Question, text, most)], asks.Question, right);
    }
}
