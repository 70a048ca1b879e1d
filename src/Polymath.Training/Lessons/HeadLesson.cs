using Polymath.Training.Objectives;
using Polymath.Training.Stages;

namespace Polymath.Training.Lessons;

/// <summary>A task that a head over labels learns.</summary>
internal static class HeadLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    internal static Lesson Of(LessonContext context) => CorpusLesson.Of(
        context, new LabelScores(), HeadStage.Labels(context.Stage, context.Model.Model, context.Data.Labels()));
}
