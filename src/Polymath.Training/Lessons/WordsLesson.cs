using Polymath.Recipes;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>A task that prompts ask for in words.</summary>
internal static class WordsLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    internal static Lesson Of(LessonContext context)
    {
        // The task outlives the stage: later models are measured by it, too.
        var asked = context.Materials.Asked.Begin(context.Stage, context.Model);
        var on = asked.On(context.Model.Model);
        try
        {
            Directory.CreateDirectory(context.Folder);
            // What was found before the first step can be read while the stage runs.
            asked.Task.Save(context.Folder);
            if (string.Join("; ", asked.Notes) is { Length: > 0 } notes) context.Note(notes);
            Objective objective = asked.LearnsTexts ? new AskedTexts(asked.TextLosses) : new AskedLabels(asked.Learned);
            var lesson = asked.Chain is null
                ? CorpusLesson.Of(context, objective, asked.Task.Labels, asked)
                : ChainLesson.Of(context, asked);
            return lesson with
            {
                Weights = asked.Weights,
                WeightsName = "prompt",
                WeightsAreMaps = false,
                Rate = ((PromptMethod)context.Stage.Method!).Rate,
                Beside = asked.Save,
                Owned = on,
            };
        }
        catch
        {
            on.Dispose();
            throw;
        }
    }
}
