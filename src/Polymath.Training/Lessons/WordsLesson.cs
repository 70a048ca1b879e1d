using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;

namespace Polymath.Training.Lessons;

/// <summary>A task that a prompt asks for in words.</summary>
internal static class WordsLesson
{
    /// <summary>The lesson.</summary>
    /// <param name="context">What it is made from.</param>
    internal static Lesson Of(LessonContext context)
    {
        var labels = context.Data.Labels();
        var method = (PromptMethod)context.Stage.Method!;
        var (prompts, words) = Read(context, method, labels);
        if (words.Shortened.Count > 0) context.Note(string.Join("; ", words.Shortened));
        var contentFree = prompts.ContentFree(method.Verbalizer.ContentFree);
        var verbalizer = words.Verbalizer(contentFree.Count > 0);
        var lesson = CorpusLesson.Of(context, new WordedLabels(verbalizer, contentFree), labels, prompts);
        return lesson with { Owned = verbalizer };
    }

    private static (PromptReader Prompts, TaskWords Words) Read(
        LessonContext context, PromptMethod method, IReadOnlyList<string> labels)
    {
        try
        {
            return (
                new PromptReader(context.Model, method.Template, method.Cut),
                TaskWords.Of(labels, method.Verbalizer.Words, context.Materials.Tokenizer, method.Verbalizer.Read));
        }
        catch (InputException e)
        {
            throw new InputException($"Stage {context.Stage.Name}: {e.Message}", e);
        }
    }
}
