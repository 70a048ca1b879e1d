using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Lessons;

/// <summary>Rows of text: each is one item.</summary>
internal static class CorpusLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="objective">The formula.</param>
    /// <param name="labels">A task's labels.</param>
    /// <param name="asked">A task that prompts ask for; null where none asks.</param>
    internal static Lesson Of(
        LessonContext context,
        Objective objective,
        IReadOnlyList<string>? labels = null,
        AskedTask? asked = null)
    {
        var (data, model, tokenizer) = (context.Data, context.Model.Model, context.Materials.Tokenizer);
        data.Tell(DataSplit.Train, context.Materials.Recipe);
        // Rows that are filled leave room for virtual tokens.
        var batch = context.Stage.FillsRows ? context.HeldOutBatch : context.Batch;
        var (items, counts) = data.Items(
            DataSplit.Train,
            tokenizer,
            batch,
            labels,
            model.PromptEnd,
            asked,
            learned: true);
        // The longest row says before the first step whether all fit with their virtual tokens.
        if (model.VirtualTokens > 0) model.Lay([items.SelectMany(item => item.Rows).MaxBy(row => row.Length)]).Dispose();
        context.Note(counts.Told());
        context.NoteRows();
        var heldOut = data.HeldOut(
            tokenizer,
            context.HeldOutBatch,
            labels,
            context.HeldOutRows,
            context.Seed,
            model.PromptEnd,
            asked);
        return new Lesson(objective, context.Source(items), heldOut, counts);
    }
}
