using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Templates;

namespace Polymath.Training.Stages;

/// <summary>Finds the fields of its rows that a stage uses.</summary>
internal static class FieldUse
{
    private const int MostShown = 60;

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

    /// <summary>Refuses a row that has an object or a list where the stage reads a text.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="row">The row.</param>
    /// <exception cref="InputException">There is one.</exception>
    public static void RequireTexts(StageSpec stage, Row row)
    {
        if (row.NoTexts is not { } noTexts || Texts(stage).FirstOrDefault(noTexts.Contains) is not { } name)
            return;
        var value = row.Fields[name];
        var shown = value.Length <= MostShown ? value : value[..MostShown] + "...";
        throw new InputException($"{row.Name}: field '{name}' is an object or a list ({shown.ReplaceLineEndings(" ")}), but stage "
            + $"{stage.Name} trains on it as a text. Name the member that holds the text under 'fields' of the source: {{{name}: "
            + $"{name}.MEMBER}}; or say what stands between the items of a list: {{{name}: {{path: {name}, join: ' '}}}}.");
    }

    /// <summary>Refuses a row that says by a field that nothing uses that it is not to be learned like the others.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="row">The row.</param>
    /// <param name="name">The unused field.</param>
    /// <exception cref="InputException">It says so.</exception>
    public static void RefuseFlag(StageSpec stage, Row row, string name)
    {
        if (RowFlags.Say(name, row.Fields[name], answers: stage.Objective is FinetuneSpec) is { } said)
            throw new InputException($"{row.Name}: field '{name}' is {row.Fields[name]}: {said}, and stage {stage.Name} does not use it. "
                + $"Leave such rows out with where: [{{field: {name}, notIn: ['{row.Fields[name]}']}}], or name only the columns that the "
                + "stage reads under 'fields' of the source.");
    }

    // The fields that are read as texts.
    private static IEnumerable<string> Texts(StageSpec stage) => stage.Objective switch
    {
        PretrainSpec spec => Names(spec.Text),
        FinetuneSpec { Prompt: { } prompt, Answer: { } answer } => [.. Names(prompt), .. Names(answer)],
        AlignSpec { Rollout: not null, Prompt: { } prompt } => Names(prompt),
        // The words and tags of a sentence are lists.
        TaskSpec task when Spans(stage) is { } spans => OfTask(stage, task).Where(name => name != spans.Words),
        TaskSpec task => [.. OfTask(stage, task), task.Label],
        _ => [],
    };

    private static SpansSpec? Spans(StageSpec stage) => (stage.Method as PromptMethod)?.Spans;

    private static IEnumerable<string> Used(StageSpec stage, Recipe recipe) => stage.Objective switch
    {
        PretrainSpec spec => Names(spec.Text),
        FinetuneSpec { Prompt: { } prompt, Answer: { } answer } => [.. Names(prompt), .. Names(answer)],
        _ when stage.ReadsAnswers => [.. Talk, .. Chosen, "label"],
        AlignSpec when stage.ReadsJudged => [.. Talk, "label"],
        RewardModelSpec { Process: not null } => [.. Talk, "completions", "labels"],
        RewardModelSpec => [.. Talk, .. Chosen, "rejected", "rejectedTurns", "margin"],
        AlignSpec { Rollout: null, Loss: TpoSpec } =>
            [.. Talk, .. Chosen, "rejected", "rejectedTurns", "reference", "referenceTurns"],
        AlignSpec { Rollout: null } => [.. Talk, .. Chosen, "rejected", "rejectedTurns"],
        AlignSpec spec =>
        [
            .. Names(spec.Prompt!),
            .. (spec.Rewards?.Keys ?? []).Concat(spec.Probes ?? []).SelectMany(name => OfReward(recipe, name)),
        ],
        TaskSpec task => [.. OfTask(stage, task), task.Label, .. Spans(stage) is { } spans ? [spans.Words] : Array.Empty<string>()],
        _ => [],
    };

    private static IEnumerable<string> Names(string text) =>
        new FieldText(text).Parts.Where(part => part.IsField).Select(part => part.Text);

    private static IEnumerable<string> OfTask(StageSpec stage, TaskSpec task) =>
        stage.Method is PromptMethod method
            ? [.. method.Asks().SelectMany(ask => TemplateFields.OfPrompt(ask.Template).Concat(ask.Verbalizer!.Fields))
                .Concat((method.Chain ?? []).SelectMany(Of)).Where(field => !method.Made.Contains(field))]
            : Names(task.Reads);

    private static IEnumerable<string> Of(QuestionSpec question) =>
    [
        .. TemplateFields.OfPrompt(question.Template),
        .. question.Read.Fields,
        .. question.Answer is { } right ? [right] : Array.Empty<string>(),
    ];

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
        IMadeSource made => made.Split?.By ?? [],
        _ => [],
    };
}
