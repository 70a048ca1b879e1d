using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Training.Stages;

/// <summary>Finds the fields of its rows that a stage uses.</summary>
internal static class FieldUse
{
    private static readonly string[] Talk = ["messages", "tools"], Chosen = ["chosen", "chosenTurns"];

    /// <summary>The fields of a row that have a value and that the stage does not use.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="row">The row.</param>
    public static IEnumerable<string> Unused(StageSpec stage, Recipe recipe, Row row)
    {
        var used = Used(stage, recipe).ToHashSet(StringComparer.Ordinal);
        used.UnionWith(stage.Sources.SelectMany(name => OfSource(recipe, name)));
        return row.Fields.Where(field => field.Value.Length > 0 && !used.Contains(field.Key)).Select(field => field.Key);
    }

    private static IEnumerable<string> Used(StageSpec stage, Recipe recipe) => stage.Objective switch
    {
        PretrainSpec spec => Names(spec.Text),
        FinetuneSpec { Prompt: { } prompt, Answer: { } answer } => [.. Names(prompt), .. Names(answer)],
        _ when stage.ReadsAnswers => [.. Talk, .. Chosen, "label"],
        AlignSpec when stage.ReadsJudged => [.. Talk, "label"],
        RewardModelSpec => [.. Talk, .. Chosen, "rejected", "rejectedTurns", "margin"],
        AlignSpec { Rollout: null } => [.. Talk, .. Chosen, "rejected", "rejectedTurns"],
        AlignSpec spec => [.. Names(spec.Prompt!), .. (spec.Rewards ?? new Dictionary<string, double>()).Keys.SelectMany(name => OfReward(recipe, name))],
        TaskSpec task => [.. Names(stage.Method is PromptMethod method ? method.Template : task.Reads), task.Label],
        _ => [],
    };

    private static IEnumerable<string> Names(string text) =>
        new FieldText(text).Parts.Where(part => part.IsField).Select(part => part.Text);

    private static IEnumerable<string> OfReward(Recipe recipe, string name) => recipe.Rewards?.GetValueOrDefault(name) switch
    {
        PatternRewardSpec { By: { } field } => [field],
        EqualRewardSpec equal => [equal.Field],
        JudgeRewardSpec judge => Names(judge.Prompt),
        _ => [],
    };

    // The fields that a source itself reads, and those from which views make other fields.
    private static IEnumerable<string> OfSource(Recipe recipe, string name) => recipe.Data.GetValueOrDefault(name) switch
    {
        FilesSpec files => [.. (files.Where ?? [])
            .Select(filter => filter.Field), .. files.Split?.By ?? [], .. files.Distinct is { } one ? [one] : Array.Empty<string>()],
        ViewSpec view => [.. (view.Where ?? [])
            .Select(filter => filter.Field), .. (view.Fields?.Values ?? []).SelectMany(Names), .. OfSource(recipe, view.View)],
        _ => [],
    };
}
