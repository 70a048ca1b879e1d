namespace Polymath.Recipes;

/// <summary>Checks one stage: its length, its method, its batches, and what it measures and saves.</summary>
internal sealed class StageChecks(Checks checks, StageSpec stage)
{
    private readonly string path = checks.PathOf(stage);

    /// <summary>Runs every check.</summary>
    public void Run()
    {
        Length();
        new OptimizerChecks(checks, stage.Optimizer, stage.Schedule, At("optimizer")).Run();
        if (stage.Schedule is { } schedule)
            new ScheduleChecks(checks, schedule, stage.Steps, At("schedule")).Run();
        Method();
        Terms();
        foreach (var (part, at) in checks.PartsOf(stage)) new PartChecks(checks, part, at).Run();
        Measured();
        Measurements();
        Gate();
    }

    private string At(string key) => $"{path}.{key}";

    private void Length()
    {
        if (!checks.Sound(At("steps"), At("epochs")))
            return;
        var align = stage.SamplesAnswers ? (AlignSpec)stage.Objective : null;
        var counted = align is null && stage.Objective is not MixSpec;
        if (stage is { Steps: not null, Epochs: not null })
            checks.Fault(At("epochs"), "'steps' and 'epochs' are both given", counted ? "keep one of the two" : "keep steps");
        else if (stage is { Objective: MixSpec, Steps: null })
            checks.Fault(
                stage.Epochs is null ? path : At("epochs"),
                "the terms of a mix have passes of their own, so it is counted in steps",
                "write steps: WHOLE-NUMBER");
        else if (align is not null && stage.Steps is null)
        {
            checks.Fault(stage.Epochs is null ? path : At("epochs"),
                "an align stage samples its own answers, so it is counted in steps",
                "write steps: WHOLE-NUMBER");
        }
        else if (stage is { Steps: null, Epochs: null })
            checks.Fault(path, "neither 'steps' nor 'epochs' is given", "add steps: WHOLE-NUMBER, or epochs: NUMBER");
        if (align is { Rollout: { } rollout } && stage.Steps < rollout.Rounds && checks.Sound(At("rollout.rounds")))
            checks.Fault(
                At("rollout.rounds"),
                $"{rollout.Rounds} rounds do not fit in {stage.Steps} steps",
                $"write {stage.Steps} or less, or more steps");
        if (stage.Schedule is { Warmup: > 1 } whole && whole.Warmup != Math.Floor(whole.Warmup) && checks.Sound(At("schedule.warmup")))
            checks.Fault(
                At("schedule.warmup"), $"{whole.Warmup} is no whole number of steps", "write whole steps, or a share of them below 1");
        if (stage.Schedule is { } schedule && schedule.Warmup > stage.Steps && checks.Sound(At("schedule.warmup")))
            checks.Fault(
                At("schedule.warmup"),
                $"a warmup of {schedule.Warmup} is longer than the {stage.Steps} steps",
                $"write {stage.Steps} or less");
    }

    private void Gate()
    {
        foreach (var (rule, i) in (stage.Stop ?? []).Select((rule, i) => (rule, i)))
            if (StopRule.Parse(rule) is null)
                checks.Fault(At($"stop[{i}]"), $"'{rule}' is no rule", "write \"FIGURE > NUMBER for STEPS\", such as \"kl > 0.3 for 5\"");
        if (stage.Else is not null && stage.Require is null && checks.Sound(At("require")))
            checks.Fault(At("else"), "nothing is required, so nothing can be missed", "add require: {ABILITY: \">= NUMBER\"}");
        foreach (var (name, text) in stage.Require ?? new Dictionary<string, string>())
        {
            var at = At($"require.{name}");
            if (checks.Recipe.Abilities?.ContainsKey(name) != true)
                checks.Fault(
                    at,
                    $"there is no ability '{name}'",
                    Nearest.Hint(name, [.. (checks.Recipe.Abilities ?? new Dictionary<string, AbilitySpec>()).Keys], "abilities"));
            else if (GateBound.Parse(text) is not { } bound)
                checks.Fault(at, $"'{text}' is no bound", "write \">= NUMBER\", \"<= NUMBER * before\", or with < or >");
            else if (!bound.IsRelative && bound is { Above: true, Bound: >= 1 }
                && checks.Recipe.Abilities[name] is AccuracyAbility or DistinctAbility or ChoiceAbility or EnsembleAbility
                && (bound.Bound > 1 || bound.Strict))
                checks.Fault(at, $"'{name}' is a share and never {text}", "write a number below 1");
        }
    }

    private void Terms()
    {
        if (stage.Objective is not MixSpec { Terms: { } terms })
        {
            if (stage.Objective is not null and not MixSpec && stage.Data is null && checks.Sound(At("data")))
                checks.Fault(path, "'data' is missing", "add data: [NAME]");
            return;
        }
        if (stage.Data is not null) checks.Fault(At("data"), "each term of a mix names its own data", "write data in the terms");
        if (stage.Mix is not null) checks.Fault(At("mix"), "each term of a mix reads its own sources", "write mix in a term");
        if (terms.Count == 0) checks.Fault(At("terms"), "there are no terms", "write terms: [{name: TEXT, kind: finetune, data: [NAME]}]");
        var seen = new HashSet<string>();
        foreach (var term in terms.Where(term => term.Name is not null))
        {
            var at = checks.PathOf(term);
            if (!Names.IsFileName(term.Name)) checks.Fault($"{at}.name", $"'{term.Name}' cannot name a folder", Names.Hint);
            else if (!seen.Add(term.Name))
                checks.Fault($"{at}.name", $"another term is named '{term.Name}' too", "give each term a name of its own");
            if (term.Objective is MixSpec)
                checks.Fault($"{at}.kind", "a mix is made of single things", "write its terms here");
            if (term.Objective is TaskSpec && stage.Method is not PromptMethod)
                checks.Fault(
                    $"{at}.kind",
                    "a task in a mix is asked for in words, as the model has one head",
                    "add method: {kind: prompt, template: TEXT, verbalizer: {}}, or write kind: finetune");
        }
        if (terms.Where(term => term.Objective is TaskSpec).Skip(1).FirstOrDefault() is { } second)
            checks.Fault(
                $"{checks.PathOf(second)}.kind",
                "a mix has one task, which is saved with its model, and this is another",
                "name both sources in one term's data, or give the other task a stage of its own");
    }

    private void Method()
    {
        if (stage.Objective is null || !checks.Sound(At("method.kind"), At("kind")))
            return;
        var (trained, at) = stage.Method is PromptMethod asked ? (asked.Train, At("method.train")) : (stage.Method, At("method"));
        if (trained is AdaptersMethod adapters)
            new AdapterChecks(checks, stage, adapters, at).Run();
        if (trained is FreezeMethod freeze)
            Freeze(freeze, at);
        if (stage.ExpertBiasRate is not null && trained is not (null or FullMethod or FreezeMethod) && checks.Sound(At("expertBiasRate")))
            checks.Fault(
                At("expertBiasRate"),
                $"it moves biases of the model itself, and the method {trained.Kind} leaves the model as it is",
                "leave it out, or take method: {kind: full}");
        if (stage.Optimizer is AdamwSpec { LoraPlusRatio: not 1 } && !TrainsB(trained?.Plain())
            && checks.Sound(At("optimizer.loraPlusRatio"), at))
            checks.Fault(
                At("optimizer.loraPlusRatio"),
                "LoRA+ sets the rate of the B of low-rank deltas, and this stage trains none",
                "leave it out, or take method: {kind: delta, form: lora}");
        switch (stage.Objective, stage.Method)
        {
            case (TaskSpec or MixSpec, PromptMethod prompt):
                Prompt(prompt);
                break;
            case (TaskSpec, _):
                Head();
                break;
            case (_, PromptMethod):
                checks.Fault(At("method.kind"),
                    $"the method 'prompt' has no meaning in a stage of the kind {stage.Objective.Kind}",
                    "write full, freeze or lora, or make it a task stage");
                break;
        }
    }

    // An adapter of an earlier stage or a folder is checked when it is loaded.
    private static bool TrainsB(MethodSpec? method) => method switch
    {
        DeltaSpec delta => delta.TrainsB(),
        AdaptersMethod { Adapters: { } several } =>
            several.Values.Any(adapter => adapter is { Frozen: false, Optimizer: null } && adapter.Delta?.TrainsB() != false),
        _ => false,
    };

    // A model has one head over labels, but every adapter would have its own.
    private void Head()
    {
        if (stage.Method is AdaptersMethod { Adapters: { Count: > 1 } several } && checks.Sound(At("method.adapters")))
            checks.Fault(
                At("method.adapters"),
                $"{several.Count} adapters would share one head over labels, which each trains with itself",
                "name one adapter, or ask by method: {kind: prompt}");
    }

    private void Freeze(FreezeMethod freeze, string place)
    {
        if (!checks.Sound(place))
            return;
        // A head over labels is trained, whatever else is frozen.
        if (!stage.TrainsHead && freeze is { Train: null, FirstLayers: null, LastLayers: null, Layers: null }
            && stage.Method is not PromptMethod { HasWeights: true })
            checks.Fault(
                place,
                "freeze names no weights to train",
                "add lastLayers: WHOLE-NUMBER, firstLayers, layers: [0, 1], or train: PATTERN"
                    + (stage.Method is PromptMethod ? "; or let the prompt itself learn, by {soft} in its template" : ""));
        if (freeze.Train is [])
            checks.Fault($"{place}.train", "the list is empty", "write train: [TEXT]");
        if (freeze.Layers is [])
            checks.Fault($"{place}.layers", "the list is empty", "write layers: [WHOLE-NUMBER]");
    }

    private void Prompt(PromptMethod prompt)
    {
        if (stage.Objective is TaskSpec { Text: not null } && checks.Sound(At("text")))
            checks.Fault(
                At("text"),
                "the template of a prompt says what is read",
                "leave out 'text', or leave out the method prompt to train a head over labels");
        if (stage.Objective is TaskSpec { Pooling: not null } && checks.Sound(At("pooling")))
            checks.Fault(
                At("pooling"),
                "the answer of a prompt is read at its mask",
                "leave out 'pooling', or leave out the method prompt to train a head over labels");
        new PromptChecks(checks, stage, prompt, At("method")).Run();
    }

    // The model of a stage has one head: over words, or over labels.
    private void Measured()
    {
        if (stage.Objective is null || !checks.Sound(At("evaluate.abilities"), At("method.kind")))
            return;
        foreach (var name in stage.Evaluate?.Abilities ?? [])
        {
            if (checks.Recipe.Abilities?.GetValueOrDefault(name) is EnsembleAbility)
            {
                checks.Fault(
                    At("evaluate.abilities"),
                    $"'{name}' asks several finished stages, and this one is not finished on the way",
                    "leave it out here; it is measured after its stages");
                continue;
            }
            if (checks.Recipe.Abilities?.GetValueOrDefault(name) is not { } ability
                || checks.StageNamed(ability.StageName) is not { Objective: not null } of || of.TrainsHead == stage.TrainsHead)
                continue;
            var (has, needs) = stage.TrainsHead ? ("a head over labels", "a head over words") : ("a head over words", "a head over labels");
            checks.Fault(
                At("evaluate.abilities"),
                $"'{name}' needs {needs}, and while this stage trains the model has {has}",
                $"leave it out here; it is measured after every stage whose model has {needs}");
        }
    }

    private void HeldOut()
    {
        if (stage.Objective is null || !checks.Sound(At("evaluate"), At("checkpoint.best")))
            return;
        var decides = stage.Checkpoint?.Best == EvaluateSpec.HeldOutLoss
            || (stage.Checkpoint?.Best is null && stage.Evaluate?.Patience is not null);
        if (decides && (stage.SamplesAnswers || stage.Evaluate?.Rows == 0))
            checks.Fault(
                stage.Evaluate?.Patience is null ? At("checkpoint.best") : At("evaluate.patience"),
                stage.SamplesAnswers
                    ? "an align stage samples its own answers and has no held-out loss"
                    : "the held-out loss is to decide, and evaluate.rows is 0",
                "name an ability with checkpoint: {best: ABILITY}");
        if (stage.Evaluate is { Patience: not null, Every: 0 })
            checks.Fault(
                At("evaluate.every"),
                "nothing is measured on the way, so no patience can end",
                "write 1 or more, or leave it out");
        if (stage.Evaluate is { MinimumChange: > 0, Patience: null } && stage.Checkpoint?.Best is null)
            checks.Fault(
                At("evaluate.minimumChange"),
                "no figure decides, so no change counts",
                "add patience, or leave it out");
    }

    private void Measurements()
    {
        HeldOut();
        if (stage.Checkpoint?.Best is not { } best || best == EvaluateSpec.HeldOutLoss
            || !checks.Sound(At("checkpoint.best"), At("evaluate")))
            return;
        var measured = stage.Evaluate?.Abilities ?? [];
        if (!measured.Contains(best))
        {
            var hint = measured.Count == 0
                ? $"add evaluate: {{every: WHOLE-NUMBER, abilities: [{best}]}}, or write {EvaluateSpec.HeldOutLoss}"
                : $"add it there, or write one of {string.Join(", ", measured.Append(EvaluateSpec.HeldOutLoss))}";
            checks.Fault(At("checkpoint.best"), $"'{best}' is not among the abilities this stage evaluates", hint);
        }
        else if (stage.Evaluate is { Every: 0 or null })
        {
            checks.Fault(At("evaluate.every"),
                $"nothing is measured during the stage, so no checkpoint can be the best by '{best}'",
                "write every: WHOLE-NUMBER, 1 or more");
        }
    }
}
