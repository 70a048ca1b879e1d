using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>Pairs of answers that people ranked.</summary>
internal static class PairsLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="align">The stage's settings.</param>
    internal static Lesson Of(LessonContext context, AlignSpec align)
    {
        var (pairs, heldOut, counts) = align.Loss.ReadsGold
            ? Read(context, (_, answers) => new GoldItem(answers), gold: true)
            : Read(context, (_, answers) => new PairItem(answers, []));
        IReadOnlyList<Item> Scored(IReadOnlyList<Item> items) =>
            context.Scores && align.Loss.HasReference
                ? PreferenceItems.Scored(items, context.Model.Model, AlignLoss.LengthWeight(align))
                : items;
        return new Lesson(AlignLoss.Of(align), context.Source(Scored(pairs)), Scored(heldOut), counts);
    }

    /// <summary>The stage's pairs, those that are only measured, and what became of the rows.</summary>
    /// <param name="context">What the lesson is made from.</param>
    /// <param name="make">Makes an item of a row and its answers.</param>
    /// <param name="gold">Whether a third answer follows, the one that should have been given.</param>
    internal static (IReadOnlyList<Item> Items, IReadOnlyList<Item> HeldOut, RowCounts Counts) Read(
        LessonContext context,
        Func<Row, TokenRow[], Item> make,
        bool gold = false)
    {
        var (stage, data) = (context.Stage.Name, context.Data);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var (pairs, counts) = PreferenceItems.Of(
            stage,
            data.Rows(DataSplit.Train),
            context.Model,
            context.Batch,
            data.Report,
            make,
            gold: gold);
        PreferenceItems.RequireSome(stage, counts);
        context.NoteRows();
        context.Note(counts.Told());
        var (heldOut, _) = PreferenceItems.Of(
            stage,
            data.HeldOutRows(context.HeldOutRows, context.Seed),
            context.Model,
            context.HeldOutBatch,
            new SourceReport(),
            make,
            heldOut: true,
            gold);
        return (pairs, heldOut, counts);
    }
}
