namespace Polymath.Recipes;

/// <summary>Checks an ability of several stages that answer together.</summary>
/// <param name="checks">The recipe's checks.</param>
/// <param name="ability">The ability.</param>
/// <param name="path">Its place.</param>
internal sealed class EnsembleChecks(Checks checks, EnsembleAbility ability, string path)
{
    /// <summary>Adds the faults.</summary>
    internal void Run()
    {
        if (ability.Together is PromptsTogether.Accuracy or PromptsTogether.Learned && ability.Split == DataSplit.Validation
            && checks.Sound($"{path}.together", $"{path}.split"))
            checks.Fault(
                $"{path}.split",
                $"together: {ability.Together.ToString().ToLowerInvariant()} finds weights on validation rows, so they are not asked, too",
                "write split: test");
        if (ability.Stages is not { } stages || !checks.Sound($"{path}.stages")) return;
        if (stages.Count < 2)
            checks.Fault($"{path}.stages", "one stage alone is no ensemble", "name two or more, or write kind: accuracy with stage: NAME");
        for (var i = 0; i < stages.Count; i++) Named(stages, i);
    }

    private void Named(IReadOnlyList<string> stages, int at)
    {
        var (name, place) = (stages[at], $"{path}.stages[{at}]");
        if (stages.Take(at).Contains(name))
            checks.Fault(place, $"'{name}' is named twice", "leave it out once");
        else if (checks.StageNamed(name) is { Objective: { } objective })
        {
            if (objective is not TaskSpec)
                checks.Fault(
                    place,
                    $"'{name}' is a stage of the kind {objective.Kind}; this measures task",
                    Fitting() is { Count: > 0 } fitting ? $"name one of {string.Join(", ", fitting)}" : "the recipe has no such stage");
        }
        else if (at == 0 && checks.StageNamed(name) is null)
            checks.Fault(place, $"the first stage's rows are asked, and the recipe has no stage '{name}'", Nearest.Hint(
                name, Fitting(), "task stages"));
        else if (checks.StageNamed(name) is null && !checks.HasFolder(name)
            && !(Path.GetDirectoryName(name) is { Length: > 0 } run && checks.HasFolder(run)))
            checks.Fault(
                place,
                $"there is no stage and no folder '{name}'",
                "name a task stage of the recipe, a stage of another run as RUN/STAGE, or a model's folder");
    }

    private List<string> Fitting() => [.. checks.Stages.Where(stage => stage.Objective is TaskSpec).Select(stage => stage.Name)];
}
