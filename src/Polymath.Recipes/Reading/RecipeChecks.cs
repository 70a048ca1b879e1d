using System.Text.RegularExpressions;

namespace Polymath.Recipes;

/// <summary>Checks how the parts of a recipe fit together.</summary>
internal sealed class RecipeChecks(Checks checks)
{
    private static readonly string[] EntryGroups = ["from", "to"], ReadingGroups = ["reading", "characters"];

    /// <summary>Runs every check.</summary>
    public void Run()
    {
        Names();
        Model();
        Tables();
        Rewards();
        Abilities();
        Circles();
        Origins();
        Made();
        Heads();
        RunStages();
    }

    /// <summary>Runs the checks of each stage by itself.</summary>
    public void RunStages()
    {
        foreach (var stage in checks.Stages)
            new StageChecks(checks, stage).Run();
        new FieldChecks(checks).Run();
    }

    private void Names()
    {
        if (checks.Sound("name") && !Polymath.Recipes.Names.IsFileName(checks.Recipe.Name))
            checks.Fault("name", $"'{checks.Recipe.Name}' cannot name a folder", Polymath.Recipes.Names.Hint);
        var seen = new HashSet<string>();
        foreach (var stage in checks.Stages.Where(stage => stage.Name is not null))
        {
            var path = $"{checks.PathOf(stage)}.name";
            if (!Polymath.Recipes.Names.IsFileName(stage.Name))
                checks.Fault(path, $"'{stage.Name}' cannot name a folder", Polymath.Recipes.Names.Hint);
            else if (!seen.Add(stage.Name))
                checks.Fault(path, $"another stage is named '{stage.Name}' too", "give each stage a name of its own");
        }
        if (!checks.Sound("stages", "rounds"))
            return;
        var visits = checks.Recipe.Visits().GroupBy(visit => visit.Name).FirstOrDefault(group => group.Count() > 1);
        if (visits?.FirstOrDefault(visit => visit.Round == 1) is { } taken)
        {
            checks.Fault($"{checks.PathOf(taken.Stage)}.name",
                $"'{taken.Name}' is also the name of a later round's visit",
                "choose a name that does not end in '.' and a number");
        }
    }

    private void Model()
    {
        if (checks.Recipe.Model is not INewModel model)
            return;
        // ChatGLM turns one half of a head by the place in the prompt, the other by the place in the answer.
        var turns = model is ChatGlmSpec ? 4 : 2;
        if (checks.Sound("model.hiddenSize", "model.heads") && model is not FamilySpec { HeadWidth: not null })
        {
            if (model.HiddenSize % model.Heads != 0)
            {
                checks.Fault("model.heads",
                    $"{model.Heads} heads do not divide the hiddenSize of {model.HiddenSize}",
                    $"write {Divisor(model.HiddenSize, model.Heads)}, or change hiddenSize");
            }
            else if (model.HiddenSize / model.Heads % turns != 0)
            {
                var width = model.HiddenSize / model.Heads;
                checks.Fault("model.heads",
                    turns == 2
                        ? $"a head would be {width} wide, which is odd; rotary positions turn pairs"
                        : $"a head would be {width} wide, which is no multiple of 4; rotary positions of two dimensions turn two pairs",
                    $"choose hiddenSize and heads so that hiddenSize / heads is {(turns == 2 ? "even" : "a multiple of 4")}");
            }
        }
        if (checks.Sound("model.heads", "model.keyValueHeads")
            && Shared(model) is { } shared && model.Heads % shared != 0)
            checks.Fault(
                "model.keyValueHeads",
                $"{shared} key-value heads do not divide the {model.Heads} heads",
                $"write {Divisor(model.Heads, shared)}");
        if (checks.Recipe.Tokenizer is null && checks.Sound("tokenizer"))
            checks.Fault(
                "tokenizer",
                "'tokenizer' is missing, and a new model has none of its own",
                "add tokenizer: {kind: character|byteLevelBpe|wordPiece|unigram}");
    }

    private static int? Shared(INewModel model) => model switch
    {
        LlamaSpec llama => llama.KeyValueHeads,
        FamilySpec other => other.KeyValueHeads,
        _ => null,
    };

    /// <summary>The divisor of a number that is nearest to what was written.</summary>
    private static int Divisor(int number, int near) =>
        Enumerable.Range(1, Math.Min(number, 2 * near))
            .Where(candidate => number % candidate == 0).MinBy(candidate => Math.Abs(candidate - near));

    private void Tables()
    {
        foreach (var name in checks.Recipe.Chat?.Convert ?? [])
            OfKind<ConversionTableSpec>(name, "chat.convert", "conversion");
        foreach (var (name, table) in checks.Recipe.Tables ?? new Dictionary<string, TableSpec>())
        {
            var entry = $"tables.{name}.entry";
            var (asked, needed) = table switch
            {
                ConversionTableSpec conversion => (conversion.Entry, EntryGroups),
                ReadingsTableSpec readings => (readings.Entry, ReadingGroups),
                _ => (null, []),
            };
            if (asked is not { } pattern || !checks.Sound(entry))
                continue;
            var groups = new Regex(pattern, RegexOptions.CultureInvariant).GetGroupNames();
            foreach (var missing in needed.Except(groups))
                checks.Fault(entry, $"the pattern has no group named '{missing}'", $"enclose the part to find in (?<{missing}>...)");
        }
    }

    private void OfClasses(string name, string path)
    {
        if (checks.Recipe.Tables?.GetValueOrDefault(name) is ConversionTableSpec)
            checks.Fault(path, $"the table '{name}' is of another kind", "name a table of the kind characterClasses or readings");
    }

    private void OfKind<T>(string name, string path, string kind)
        where T : TableSpec
    {
        if (checks.Recipe.Tables?.GetValueOrDefault(name) is { } table && table is not T)
            checks.Fault(path, $"the table '{name}' is of another kind", $"name a table of the kind {kind}");
    }

    private void Rewards()
    {
        foreach (var (name, reward) in checks.Recipe.Rewards ?? new Dictionary<string, RewardSpec>())
        {
            var path = $"rewards.{name}";
            new RewardChecks(checks, reward, path).Run();
            if (reward is PatternRewardSpec { By: null, Match: { } match }
                && match.Keys.Any(key => key != "*") && checks.Sound($"{path}.by", $"{path}.match"))
            {
                checks.Fault($"{path}.by",
                    "'by' is missing: nothing says which field chooses the pattern",
                    "add by: FIELD, or write the one pattern as match: {\"*\": PATTERN}");
            }
            if ((reward as RhymeRewardSpec)?.Table is { } rhymes) OfClasses(rhymes, $"{path}.table");
            if (reward is not CharacterClassRewardSpec classes)
                continue;
            if (classes.Table is { } table) OfClasses(table, $"{path}.table");
            if (classes.Positions?.FirstOrDefault(position => position < 1, 1) is { } low and < 1)
                checks.Fault($"{path}.positions", $"{low} is not a place in a line", "count places from 1");
        }
    }

    private void Abilities()
    {
        foreach (var (name, ability) in checks.Recipe.Abilities ?? new Dictionary<string, AbilitySpec>())
        {
            // A row of the report holds the abilities and, under 'after', the stage they were measured after.
            if (name == "after")
                checks.Fault("abilities.after", "'after' is the report's name for the stage", "choose another name");
            if (ability is ChoiceAbility choice) Choices(choice, $"abilities.{name}");
            if (ability is AccuracyAbility accuracy) Figure(accuracy, $"abilities.{name}.figure");
            if (ability is EnsembleAbility several) new EnsembleChecks(checks, several, $"abilities.{name}").Run();
            var (stageName, kinds) = ability switch
            {
                PerplexityAbility one => (one.Stage, new[] { "pretrain", "finetune" }),
                AccuracyAbility one => (one.Stage, ["task"]),
                RewardAbility one => (one.Stage, ["finetune", "align"]),
                DistinctAbility one => (one.Stage, ["finetune", "align"]),
                _ => (null, []),
            };
            if (checks.StageNamed(stageName)?.Objective is not { } objective || kinds.Contains(objective.Kind))
                continue;
            var fitting = checks.Stages.Where(stage => kinds.Contains(stage.Objective?.Kind)).Select(stage => stage.Name).ToList();
            var hint = fitting.Count > 0 ? $"name one of {string.Join(", ", fitting)}" : "the recipe has no such stage";
            checks.Fault(
                $"abilities.{name}.stage",
                $"'{stageName}' is a stage of the kind {objective.Kind}; this measures {string.Join(" or ", kinds)}",
                hint);
        }
    }

    // Entities are what spans are, and nothing else has them.
    private void Figure(AccuracyAbility ability, string path)
    {
        if (checks.StageNamed(ability.Stage) is not { Objective: TaskSpec } stage || !checks.Sound(path)) return;
        var asksSpans = stage.Method is PromptMethod { Spans: not null };
        if (asksSpans && ability.Figure != LabelFigure.EntityF1)
            checks.Fault(path, $"'{stage.Name}' asks for spans, of which entities are found", "write figure: entityF1");
        if (!asksSpans && ability.Figure == LabelFigure.EntityF1)
            checks.Fault(
                path,
                $"'{stage.Name}' has one label for a row, and no entities",
                "write figure: accuracy or macroF1, or ask the stage for spans: method: {kind: prompt, spans: {}}");
    }

    // A benchmark's format says what the question is, or the recipe does.
    private void Choices(ChoiceAbility ability, string path)
    {
        var written = new[] { ("question", ability.Question), ("choices", ability.Choices as object), ("answer", ability.Answer) };
        foreach (var (key, given) in written)
        {
            if (!checks.Sound($"{path}.{key}")) continue;
            if (ability.Format is { } format && given is not null)
                checks.Fault($"{path}.{key}", $"the format {format.ToString().ToLowerInvariant()} says what this is", "leave it out");
            if (ability.Format is null && given is null)
                checks.Fault(
                    path,
                    $"'{key}' is missing",
                    $"add {key}: {(key == "choices" ? "[TEXT, TEXT]" : "TEXT")}, or the format of a benchmark");
        }
        Solved(ability, path);
        if (ability is { Format: not ChoiceFormat.Gsm8k, MaxNewTokens: not ChoiceAbility.UsualNewTokens }
            && checks.Sound($"{path}.format", $"{path}.maxNewTokens"))
            checks.Fault($"{path}.maxNewTokens", "nothing is written: candidates are scored", "leave it out, or write format: gsm8k");
        if (ability is { Format: ChoiceFormat.Gsm8k, Score: not ChoiceScore.Sum } && checks.Sound($"{path}.score"))
            checks.Fault($"{path}.score", "an answer that is written has no candidates", "leave it out");
    }

    private void Solved(ChoiceAbility ability, string path)
    {
        if (!checks.Sound($"{path}.shots", $"{path}.shotsFrom", $"{path}.split")) return;
        if (ability is { Shots: > 0, Split: null or DataSplit.Train } && (ability.ShotsFrom ?? ability.Data) == ability.Data)
            checks.Fault(
                $"{path}.shotsFrom",
                "solved questions would be taken from the questions themselves",
                ability.ShotsFrom is null ? "add shotsFrom: DATA, or split: validation" : "name other data, or add split: validation");
        if (ability.Shots > 0) return;
        foreach (var (key, given) in new[] { ("shotsFrom", ability.ShotsFrom), ("shotsBy", ability.ShotsBy) })
            if (given is not null)
                checks.Fault($"{path}.{key}", "no solved questions are asked for", "add shots: WHOLE-NUMBER, or leave it out");
    }

    // A head over labels replaces the head over words: no later stage can predict words.
    private void Heads()
    {
        if (!checks.Sound("stages", "rounds")
            || checks.Stages.Any(stage => stage.Objective is null || !checks.Sound($"{checks.PathOf(stage)}.method.kind")))
            return;
        var told = new HashSet<string>();
        foreach (var visit in checks.Recipe.Visits())
        {
            if (checks.Recipe.ParentOf(visit) is not { Stage.TrainsHead: true } before
                || Head(visit.Stage) == Head(before.Stage) || !told.Add(visit.Stage.Name))
                continue;
            if (visit.Stage.From is not null)
                checks.Fault(
                    $"{PathOf(visit)}.from",
                    $"'{before.Name}' leaves a model with {Head(before.Stage)}, and this stage needs {Head(visit.Stage)}",
                    "name the stage that it was made from");
            else
                checks.Fault($"{PathOf(visit)}.kind",
                    $"'{visit.Name}' comes after '{before.Name}', which leaves a model with a head over labels in place of the one "
                        + "over words",
                    $"move '{before.Stage.Name}' behind it, or let '{before.Stage.Name}' ask by method: {{kind: prompt, template: \"... "
                        + "{mask}\", verbalizer: {...}}");
        }
    }

    // A later round's stage is written where the first one's is.
    private string PathOf(StageVisit visit) => checks.PathOf(checks.StageNamed(visit.Stage.Name)!);

    private static string Head(StageSpec stage) => stage switch
    {
        { TrainsLabels: true } => "a head over labels",
        { TrainsHead: true } => "a reward's head",
        _ => "a head over words",
    };

    // A stage may start from an earlier one alone.
    private void Origins()
    {
        for (var i = 0; i < checks.Stages.Count; i++)
        {
            var (stage, at) = (checks.Stages[i], $"{checks.PathOf(checks.Stages[i])}.from");
            if (stage.From is not { } from || !checks.Sound(at)) continue;
            var named = checks.Stages.ToList().FindIndex(other => other.Name == from);
            if (named >= i)
                checks.Fault(
                    at, $"'{from}' is {(named == i ? "this stage" : "a later stage")}", "name an earlier stage, or a model's folder");
            else if (named < 0 && !HubAddress.IsAddress(from) && !checks.HasFolder(from))
                checks.Fault(
                    at,
                    $"there is no earlier stage and no folder '{from}'",
                    Nearest.Hint(from, [.. checks.Stages.Take(i).Select(other => other.Name)], "earlier stages"));
        }
    }

    // What a stage has sampled is read by later stages alone.
    private void Made()
    {
        foreach (var (name, source) in checks.Recipe.Data ?? new Dictionary<string, DataSpec>())
        {
            if (source is not IMadeSource made) continue;
            Sampled(source as SampledSpec, name);
            Shaped(made, name);
            foreach (var (ability, spec) in checks.Recipe.Abilities ?? new Dictionary<string, AbilitySpec>())
                if (checks.StageNamed(spec.StageName)?.Sources.Any(read => RootOf(read) == name) == true)
                    checks.Fault(
                        $"abilities.{ability}.stage",
                        $"its stage reads '{name}', which is not there before the first stage",
                        "name a stage that reads files");
        }
    }

    // What the rows are is known before they are made.
    private void Shaped(IMadeSource source, string name)
    {
        foreach (var visit in checks.Recipe.Visits())
            foreach (var part in visit.Stage.Parts().Where(part => part.Sources.Any(read => RootOf(read) == name)))
            {
                var (needed, said) = part switch
                {
                    { ReadsPairs: true } => (DataShape.Preference, "pairs"),
                    { ReadsJudged: true } => (DataShape.Kto, "judged"),
                    _ => (source.Shape, ""),
                };
                if (needed != source.Shape && part.Objective is not RewardModelSpec { Process: not null })
                    checks.Fault(
                        $"data.{name}.what",
                        $"'{visit.Name}' learns from other rows than these",
                        $"write what: {said}, or change the stage");
            }
    }

    private void Sampled(SampledSpec? source, string name)
    {
        if (source is not { From: { } from } || checks.StageNamed(from) is null) return;
        if (source is { Least: not null, What: SampledRows.Pairs })
            checks.Fault($"data.{name}.least", "a pair is the best and the worst answer, whatever their scores", "leave it out");
        var visits = checks.Recipe.Visits().ToList();
        var first = visits.FindIndex(visit => visit.Stage.Name == from && visit.Stage.Parts().Any(part => part.SamplesAnswers));
        if (first < 0)
        {
            if (visits.All(visit => visit.Stage.Objective is not null))
                checks.Fault($"data.{name}.from", $"'{from}' samples no answers", "name an align stage with rollout");
            return;
        }
        foreach (var reader in visits.Take(first + 1).Where(visit => visit.Stage.Sources.Any(read => RootOf(read) == name)))
            checks.Fault(
                $"{PathOf(reader)}.data",
                $"'{name}' is what '{from}' samples, and '{from}' does not come before this stage",
                $"put '{from}' before it, or read it in a later round: rounds: {{count: 2, changes: {{2: {{{reader.Stage.Name}: "
                    + $"{{data: [{name}]}}}}}}}}");
    }

    private string RootOf(string source)
    {
        var seen = new HashSet<string>();
        while (seen.Add(source) && checks.Recipe.Data?.GetValueOrDefault(source) is ViewSpec { View: { } below }) source = below;
        return source;
    }

    private void Circles()
    {
        var told = new HashSet<string>();
        foreach (var start in checks.Recipe.Data?.Keys ?? [])
        {
            var way = new List<string>();
            var at = start;
            while (at is not null && !way.Contains(at) && checks.Recipe.Data!.GetValueOrDefault(at) is ViewSpec view)
            {
                way.Add(at);
                at = view.View;
            }
            if (at != start || way.Count == 0 || way.Any(told.Contains))
                continue;
            told.UnionWith(way);
            checks.Fault(
                $"data.{start}.view", $"views go in a circle: {string.Join(" > ", [.. way, start])}", "let one of them read files");
        }
    }
}
