using Polymath.Recipes;
using Polymath.Text;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>Answers that people judged as good or bad.</summary>
internal static class JudgedLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="align">The stage's settings.</param>
    internal static Lesson Of(LessonContext context, AlignSpec align)
    {
        var (stage, data) = (context.Stage.Name, context.Data);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        var (items, counts) = JudgedItems.Of(
            stage,
            data.Rows(DataSplit.Train),
            context.Model,
            context.Batch,
            data.Report);
        PreferenceItems.RequireSome(stage, counts);
        context.NoteRows();
        context.Note(counts.Told());
        var overlong = context.Batch.Overlong == OverlongPolicy.Refuse ? OverlongPolicy.Cut : context.Batch.Overlong;
        var rows = data.HeldOutRows(context.HeldOutRows, context.Seed);
        var (heldOut, _) = JudgedItems.Of(
            stage,
            rows.Count > 1 ? rows : [],
            context.Model,
            context.HeldOutBatch with { Overlong = overlong },
            new SourceReport());
        IReadOnlyList<Item> Scored(IReadOnlyList<Item> some) =>
            context.Scores ? JudgedItems.Scored(some, context.Model.Model) : some;
        return new Lesson(AlignLoss.Of(align), context.Source(Scored(items)), Scored(heldOut), counts);
    }
}
