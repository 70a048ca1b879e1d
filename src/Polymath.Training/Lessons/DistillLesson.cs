using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Objectives;

namespace Polymath.Training.Lessons;

/// <summary>A teacher's distributions are learned, at the answers of rows.</summary>
internal static class DistillLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    /// <param name="spec">The settings.</param>
    internal static Lesson Of(LessonContext context, DistillSpec spec)
    {
        if (!context.HasOther(spec.Teacher)) return CorpusLesson.Of(context, new NextToken());
        var (objective, teacher) = Objective(context, spec);
        try
        {
            return CorpusLesson.Of(context, objective) with { Owned = teacher };
        }
        catch
        {
            teacher.Dispose();
            throw;
        }
    }

    /// <summary>The formula, with its teacher.</summary>
    /// <param name="context">What the lesson is made from.</param>
    /// <param name="spec">The settings.</param>
    /// <exception cref="InputException">The teacher cannot be opened, or has another vocabulary.</exception>
    internal static (Objective Objective, TextModel Teacher) Objective(LessonContext context, DistillSpec spec)
    {
        var teacher = context.Other(spec.Teacher);
        try
        {
            int own = context.Model.Model.Sizes.VocabularySize, other = teacher.Model.Sizes.VocabularySize;
            if (teacher.Model.Labels is not null || own != other)
                throw new InputException($"Stage {context.Stage.Name}: the teacher {spec.Teacher} has "
                    + (teacher.Model.Labels is not null ? "a head over labels" : $"{other:N0} tokens, and the model {own:N0}")
                    + ". A teacher is a language model with the same vocabulary: name another.");
            foreach (var weight in teacher.Model.Weights) weight.Trainable = false;
            return (new Taught(teacher.Model, AlignLoss.Of(spec), spec.AnswerWeight), teacher);
        }
        catch
        {
            teacher.Dispose();
            throw;
        }
    }
}
