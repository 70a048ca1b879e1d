using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tuning.Prompts;

namespace Polymath.Cli;

/// <summary>What labels texts for <c>classify</c>: one stage or model, or several stages together.</summary>
internal abstract class Labeller : IDisposable
{
    /// <summary>The labels; known when a text has been read.</summary>
    internal abstract IReadOnlyList<string> Names { get; }

    /// <summary>What the labels are.</summary>
    internal virtual LabelTask Kind => LabelTask.Classify;

    /// <summary>The field that held the label in training; null where it is not known.</summary>
    internal abstract string? Label { get; }

    /// <summary>The most tokens of a text; null where several models read it.</summary>
    internal virtual int? Context => null;

    /// <summary>What reasons are given of.</summary>
    internal virtual string Asked => "template";

    /// <summary>Finds entities, where the stage asks for them span by span; null where it gives a label.</summary>
    internal virtual SpanAnswers? Spans => null;

    /// <summary>The answer to one text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="why">Whether reasons are given.</param>
    internal abstract PromptedAnswer Of(string text, bool why);

    /// <summary>The answers to rows, in order.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="columns">The asked column of the text, and the one of the label that was found.</param>
    /// <param name="rowsAtOnce">How many are read at once.</param>
    /// <param name="why">Whether reasons are given.</param>
    internal abstract IEnumerable<PromptedAnswer> Of(
        LabelRows rows,
        (string? Text, string? Label) columns,
        int rowsAtOnce,
        bool why);

    /// <summary>The one text in the fields that a prompt asks for.</summary>
    /// <param name="task">The task.</param>
    /// <param name="text">The text.</param>
    /// <exception cref="InputException">It asks for several fields.</exception>
    protected static (string Name, IReadOnlyDictionary<string, string> Fields) OneText(PromptTask task, string text) =>
        task.Needs() is [var field]
            ? ("The text", new Dictionary<string, string> { [field] = text })
            : throw new InputException($"The stage's prompt '{task.Prompts[0].Template}' asks for {string.Join(", ", task.Needs())}, but "
                + "--text is one text. Give a file with these columns: --input FILE.csv.");

    /// <summary>The rows with the fields that a prompt asks for.</summary>
    /// <param name="task">The task.</param>
    /// <param name="rows">The rows.</param>
    /// <param name="columns">The asked column of the text, and the one of the label that was found.</param>
    protected static IReadOnlyList<(string Name, IReadOnlyDictionary<string, string> Fields)> RowsFor(
        PromptTask task, LabelRows rows, (string? Text, string? Label) columns) =>
        [.. rows.Rows.Zip(rows.Fields(task.Needs(), columns.Text, columns.Label), (row, fields) => (row.Place, fields))];

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what it has opened.</summary>
    /// <param name="disposing">Always true: there is no finalizer.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}

/// <summary>One model: its head over labels, or the prompt of its stage.</summary>
internal sealed class OneLabeller : Labeller
{
    private readonly OpenedModel opened;
    private readonly PromptTask? task;
    private readonly PromptedLabels? asked;

    /// <summary>A model that is open.</summary>
    /// <param name="opened">The model, which is freed with this.</param>
    /// <param name="why">Whether reasons are asked for.</param>
    /// <exception cref="InputException">It has no head over labels and no task, or no reasons.</exception>
    internal OneLabeller(OpenedModel opened, bool why)
    {
        this.opened = opened;
        try
        {
            if (opened.Text.Model.Labels is not null && why)
                throw new InputException($"--why says what prompts answer, and {opened.Place} has a head over labels. Leave it out.");
            if (opened.Text.Model.Labels is not null) return;
            task = PromptTask.Read(opened.Place) ?? throw new InputException($"{opened.Place}: the model has no head over labels, and no "
                + $"{PromptTask.FileName} with the prompt of a stage. Name the stage that learned the labels with --stage NAME, train one "
                + "of the kind task, or attach a fresh head: polymath model convert FOLDER --head classify --labels A,B.");
            if (why && task is { Spans: not null } or { Chain: not null })
                throw new InputException("--why says what prompts answer about a row, and the stage asks "
                    + (task.Chain is null ? "about spans." : "a chain of questions, whose answers are said in any case.")
                    + " Leave it out.");
            if (task.Spans is null) asked = new PromptedLabels(opened.Text, task, opened.Place);
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    internal override IReadOnlyList<string> Names => task?.Labels ?? opened.Text.Model.Labels!.Names;

    internal override LabelTask Kind => task is null ? opened.Text.Model.Labels!.Task : LabelTask.Classify;

    internal override string? Label => task?.Label;

    internal override SpanAnswers? Spans => task is { Spans: not null } ? new SpanAnswers(opened, task) : null;

    internal override int? Context => opened.Text.Model.Sizes.ContextLength;

    internal override PromptedAnswer Of(string text, bool why) => asked is null
        ? LabelReader.Read(opened.Text, [text], 1).Select(WithoutReasons).Single()
        : asked.Read([OneText(task!, text)], 1, why).Single();

    internal override IEnumerable<PromptedAnswer> Of(
        LabelRows rows,
        (string? Text, string? Label) columns,
        int rowsAtOnce,
        bool why) => asked is null
        ? LabelReader.Read(opened.Text, rows.Texts(rows.TextField(columns.Text, columns.Label)), rowsAtOnce).Select(WithoutReasons)
        : asked.Read(RowsFor(task!, rows, columns), rowsAtOnce, why);

    private static PromptedAnswer WithoutReasons(LabelledAnswer answer) => new(answer, []);

    protected override void Dispose(bool disposing)
    {
        asked?.Dispose();
        opened.Dispose();
        base.Dispose(disposing);
    }
}
