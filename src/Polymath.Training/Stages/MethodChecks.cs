using Polymath.Recipes;
using Polymath.Text.Prompts;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>Checks the methods of stages before anything is trained.</summary>
public static class MethodChecks
{
    /// <summary>Throws for settings that a form of delta does not have, before anything is trained.</summary>
    /// <param name="recipe">The recipe.</param>
    public static void Check(Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        foreach (var stage in recipe.AllStages())
        {
            var method = stage.Method is PromptMethod prompt ? prompt.Train : stage.Method;
            var at = $"stages.{stage.Name}.method{(stage.Method is PromptMethod ? ".train" : "")}";
            if (stage.Method is PromptMethod asked) CheckTemplate(stage, asked);
            if (method is DeltaSpec delta) DeltaPlan.Check(delta, at, stage.Steps);
            foreach (var (name, adapter) in (method as AdaptersMethod)?.Adapters ?? new Dictionary<string, AdapterSpec>())
                if (adapter.Delta is { } own) DeltaPlan.Check(own, $"{at}.adapters.{name}.delta", stage.Steps);
        }
    }

    private static void CheckTemplate(StageSpec stage, PromptMethod asked)
    {
        foreach (var question in asked.Chain ?? [])
            Written(stage, $"chain.{question.Name}.template", question.Template, question.Read);
        foreach (var (ask, i) in asked.Asks().Select((ask, i) => (ask, i)))
            Written(stage, asked.KeyOf(i), ask.Template, ask.Verbalizer!);
    }

    private static void Written(
        StageSpec stage,
        string key,
        string template,
        VerbalizerSpec verbalizer)
    {
        try
        {
            PromptTemplate.Written(template, forward: true, answers: verbalizer.Answers);
        }
        catch (InputException e)
        {
            throw new InputException($"stages.{stage.Name}.method.{key}: {e.Message}", e);
        }
    }
}
