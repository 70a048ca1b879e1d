using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Lessons;

/// <summary>A task that a prompt asks for in words.</summary>
internal static class WordsLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    internal static Lesson Of(LessonContext context)
    {
        var labels = context.Data.Labels();
        var words = ((PromptMethod)context.Stage.Method!).Verbalizer.Words;
        var verbalizer = new Verbalizer(labels, words, context.Materials.Tokenizer);
        if (verbalizer.Shortened.Count > 0) context.Note(string.Join("; ", verbalizer.Shortened));
        return CorpusLesson.Of(context, new LabelWords(verbalizer), labels);
    }
}
