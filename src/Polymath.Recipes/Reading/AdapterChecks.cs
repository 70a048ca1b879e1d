namespace Polymath.Recipes;

/// <summary>Checks the adapters of a stage: where each comes from, whose rows it takes, and whether they can come together as asked.</summary>
internal sealed class AdapterChecks(Checks checks, StageSpec stage, AdaptersMethod method, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        if (method.Adapters is not { } adapters || !checks.Sound($"{path}.adapters", $"{path}.together"))
            return;
        if (adapters.Count == 0)
            checks.Fault($"{path}.adapters", "there are no adapters", "write {NAME: {delta: {form: lora}}}, or {NAME: {folder: FOLDER}}");
        foreach (var (name, adapter) in adapters)
            One(name, adapter, $"{path}.adapters.{name}");
        if (adapters.Count > 0 && adapters.Values.All(adapter => adapter.Frozen) && method.Together is not (Together.Mix or Together.Combine))
            checks.Fault($"{path}.adapters", "all of them are frozen, so that nothing is trained", "leave 'frozen' out of one, or write together: mix, where the gates are trained");
        if (method.Combine is not null && method.Together != Together.Combine)
            checks.Fault($"{path}.combine", $"'combine' has no meaning where adapters {method.Together.ToString().ToLowerInvariant()}", "write together: combine, or leave it out");
        if (method.Merge && method.Together is Together.Route or Together.Mix && method.Merge)
            checks.Fault($"{path}.merge", $"adapters that {(method.Together == Together.Route ? "are routed apply to some rows only" : "are mixed change with every token")} and cannot be merged", "leave 'merge' out");
        if (method.Together == Together.Route && stage.Objective is AlignSpec)
            checks.Fault($"{path}.together", "an align stage samples its own rows, which come from no data of an adapter", "write stack, or make it a prefer stage");
    }

    private void One(string name, AdapterSpec adapter, string at)
    {
        if (!checks.Sound(at))
            return;
        if (!Names.IsFileName(name))
            checks.Fault(at, $"'{name}' cannot name a folder", "use letters, digits, '-', '_' and '.', with a letter or digit in front");
        var sources = (adapter.Delta is null ? 0 : 1) + (adapter.Folder is null ? 0 : 1) + (adapter.Stage is null ? 0 : 1);
        if (sources != 1)
            checks.Fault(at, sources == 0 ? "nothing says where it comes from" : "it comes from more than one place", "write one of delta: {form: lora}, folder: FOLDER and stage: NAME");
        if (adapter.Delta is not null && method.Together == Together.Combine)
            checks.Fault($"{at}.delta", "a fresh adapter changes nothing yet, so that there is nothing to combine", "name a folder or a stage, or write together: stack");
        if (adapter is { OptimizerState: true, Delta: not null })
            checks.Fault($"{at}.optimizerState", "a fresh adapter has no state yet", "leave it out");
        if (adapter is { OptimizerState: true } && method.Together == Together.Combine)
            checks.Fault($"{at}.optimizerState", "the combined adapter's weights are new and have no state yet", "leave it out");
        if (adapter.Delta is { Merge: true } or { Base: not null })
            checks.Fault($"{at}.delta", "'merge' and 'base' are said once, for all adapters", $"write them beside 'adapters' at {path}");
        if (adapter.Stage is { } earlier && checks.StageNamed(earlier) is { } spec)
            Earlier(earlier, spec, at);
        if (method.Together == Together.Route && adapter.Data is not { Count: > 0 })
            checks.Fault(at, "it has no data, so that no row is sent to it", $"write data: [{string.Join(", ", stage.Data ?? [])}], or some of them");
        foreach (var data in (adapter.Data ?? []).Where(data => stage.Data?.Contains(data) == false))
            checks.Fault($"{at}.data", $"'{data}' is not among the data of the stage", $"write some of {string.Join(", ", stage.Data!)}, or add it there");
    }

    private void Earlier(string name, StageSpec spec, string at)
    {
        var stages = checks.Stages.ToList();
        if (stages.IndexOf(spec) >= stages.IndexOf(stage))
            checks.Fault($"{at}.stage", $"the stage '{name}' does not come before this one", "name an earlier stage, or move it up");
        else if ((spec.Method is PromptMethod prompt ? prompt.Train : spec.Method) is not (DeltaSpec { Merge: false } or LoraMethod { Merge: false } or AdaptersMethod { Merge: false }))
            checks.Fault($"{at}.stage", $"the stage '{name}' keeps no adapter apart", "give it a method of the kind lora, delta or adapters with merge: false");
    }
}
