namespace Polymath.Recipes;

/// <summary>
/// Checks the adapters of a stage: where each comes from, which rows it applies to, and whether they can be used together as asked.
/// </summary>
internal sealed class AdapterChecks(Checks checks, StageSpec stage, AdaptersMethod method, string path)
{
    /// <summary>Runs every check.</summary>
    public void Run()
    {
        if (method.Adapters is not { } adapters || !checks.Sound($"{path}.together"))
            return;
        var complete = checks.Sound($"{path}.adapters");
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, adapter) in adapters)
        {
            One(name, adapter, $"{path}.adapters.{name}");
            Name(name, seen, $"{path}.adapters.{name}");
        }
        Whole();
        // What holds for all of them cannot be checked when one could not be read.
        if (complete)
            Trained(adapters);
    }

    private bool Routed => method.Together == Together.Route;

    private bool Combined => method.Together == Together.Combine;

    private void Trained(IReadOnlyDictionary<string, AdapterSpec> adapters)
    {
        if (adapters.Values.All(adapter => adapter.Frozen) && method.Together is Together.Stack or Together.Route && adapters.Count > 0)
            checks.Fault(
                $"{path}.adapters",
                "all of them are frozen, so nothing is trained",
                "leave 'frozen' out of one, or write together: mix, where the gates are trained");
        if (method.Together == Together.Mix && adapters.Count == 1)
            checks.Fault(
                $"{path}.together", "a mixture needs two adapters or more, and there is one", "name another, or leave 'together' out");
    }

    private void Whole()
    {
        if (method.Combine is not null && !Combined)
            checks.Fault(
                $"{path}.combine",
                $"'combine' has no meaning where adapters {method.Together.ToString().ToLowerInvariant()}",
                "write together: combine, or leave it out");
        if (method.Merge && method.Together is Together.Route or Together.Mix)
            checks.Fault(
                $"{path}.merge",
                $"adapters that {(Routed ? "are routed apply to some rows only" : "are mixed change with every token")} and cannot be "
                    + "merged",
                "leave 'merge' out");
        if (Routed && stage.SamplesAnswers)
            checks.Fault(
                $"{path}.together",
                "an align stage samples its own rows, which belong to no adapter's data",
                "write stack, or leave out rollout and give it ranked answers");
    }

    // A name becomes a folder, next to the files that describe the adapters, and a prefix in checkpoints.
    private void Name(string name, HashSet<string> seen, string at)
    {
        if (!Names.IsFileName(name))
            checks.Fault(at, $"'{name}' cannot name a folder", Names.Hint);
        else if (name.EndsWith(".json", StringComparison.OrdinalIgnoreCase)
            || name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase))
            checks.Fault(at, $"'{name}' is a file's name, and the adapter's folder lies next to such files", "leave the ending out");
        else if (method.Together == Together.Mix && name.Equals("mixture", StringComparison.OrdinalIgnoreCase))
            checks.Fault(at, "'mixture' is the name of the gates", "choose another name");
        else if (!seen.Add(name))
            checks.Fault(
                at, $"another adapter has the name '{name}' in other letters, which some disks do not tell apart", "choose another name");
    }

    private void One(string name, AdapterSpec adapter, string at)
    {
        if (!checks.Sound(at))
            return;
        var sources = (adapter.Delta is null ? 0 : 1) + (adapter.Folder is null ? 0 : 1) + (adapter.Stage is null ? 0 : 1);
        if (sources != 1)
            checks.Fault(
                at,
                sources == 0 ? "nothing says where it comes from" : "it comes from more than one place",
                "write one of delta: {form: lora}, folder: FOLDER and stage: NAME");
        if (adapter.Delta is { Merge: true } or { Base: not null })
            checks.Fault($"{at}.delta", "'merge' and 'base' are given once, for all adapters", $"write them next to 'adapters' at {path}");
        if (adapter.Stage is { } earlier && checks.StageNamed(earlier) is { } spec)
            Earlier(name, earlier, spec, at);
        Training(adapter, at);
        Rows(adapter, at);
        if (adapter.Weight != 1 && !Combined)
            checks.Fault(
                $"{at}.weight",
                $"'weight' has no meaning where adapters {method.Together.ToString().ToLowerInvariant()}",
                "write together: combine, or leave it out");
    }

    private void Training(AdapterSpec adapter, string at)
    {
        if (Combined)
        {
            if (adapter.Delta is not null)
                checks.Fault(
                    $"{at}.delta",
                    "a fresh adapter changes nothing yet, so there is nothing to combine",
                    "name a folder or a stage, or write together: stack");
            if (adapter.OptimizerState)
                checks.Fault($"{at}.optimizerState", "the combined adapter's weights are new and have no state yet", "leave it out");
            if (adapter.Optimizer is not null)
                checks.Fault($"{at}.optimizer", "the stage's optimizer trains the one combined adapter", "leave it out");
            if (adapter.Frozen)
                checks.Fault($"{at}.frozen", "the adapters are only read, and the combined adapter is trained", "leave it out");
            return;
        }
        if (adapter is { OptimizerState: true, Delta: not null })
            checks.Fault($"{at}.optimizerState", "a fresh adapter has no state yet", "leave it out");
        if (adapter is { OptimizerState: true, Frozen: true })
            checks.Fault($"{at}.optimizerState", "a frozen adapter is not trained", "leave it or 'frozen' out");
        if (adapter.Optimizer is AdamwSpec { LoraPlusRatio: not 1 } && adapter.Delta?.TrainsB() == false)
            checks.Fault(
                $"{at}.optimizer.loraPlusRatio",
                "LoRA+ sets the rate of the B of low-rank deltas, and this adapter trains none",
                "leave it out");
        new OptimizerChecks(checks, adapter.Optimizer, stage.Schedule, $"{at}.optimizer").Run();
        if (adapter is { Optimizer: not null, Frozen: true })
            checks.Fault($"{at}.optimizer", "a frozen adapter is not trained", "leave it or 'frozen' out");
    }

    private void Rows(AdapterSpec adapter, string at)
    {
        if (!Routed)
        {
            if (adapter.Data is not null)
                checks.Fault($"{at}.data", $"'data' has no meaning where adapters {method.Together.ToString().ToLowerInvariant()}: every "
                    + "row goes through all of them", "write together: route, or leave it out");
            return;
        }
        if (adapter.Data is not { Count: > 0 })
            checks.Fault(
                at,
                "it has no data, so no row is sent to it",
                $"write data: [{string.Join(", ", stage.Sources)}], or some of them");
        foreach (var data in (adapter.Data ?? []).Where(data => !stage.Sources.Contains(data)))
            checks.Fault(
                $"{at}.data",
                $"'{data}' is not among the data of the stage",
                $"write some of {string.Join(", ", stage.Sources)}, or add it there");
    }

    private void Earlier(string adapter, string name, StageSpec spec, string at)
    {
        var stages = checks.Stages.ToList();
        if (stages.IndexOf(spec) >= stages.IndexOf(stage))
            checks.Fault($"{at}.stage", $"the stage '{name}' does not come before this one", "name an earlier stage, or move it up");
        else if (!StaysApart(spec))
            checks.Fault(
                $"{at}.stage",
                $"the stage '{name}' saves no adapter apart from the model",
                "give it a method of the kind lora, delta or adapters with merge: false");
        else if (spec.Method?.Plain() is AdaptersMethod { Together: not Together.Combine, Adapters: { Count: > 1 } several }
            && !several.ContainsKey(adapter))
            checks.Fault(
                at,
                $"the stage '{name}' has no adapter of this name",
                $"give it the name that it has there: {string.Join(", ", several.Keys)}");
        else if (stages[(stages.IndexOf(spec) + 1)..stages.IndexOf(stage)].Find(
            between => between.Objective is not null && !StaysApart(between)) is { } changed)
            checks.Fault(
                $"{at}.stage",
                $"the stage '{changed.Name}', which comes between, changes the model that the adapter of '{name}' was trained on",
                $"move '{changed.Name}' before '{name}', or give it a method with merge: false");
    }

    private static bool StaysApart(StageSpec spec) =>
        spec.Method?.Plain() is DeltaSpec { Merge: false } or AdaptersMethod { Merge: false };
}
