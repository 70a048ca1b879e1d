namespace Polymath.Recipes;

/// <summary>Checks the data sources, and checks that every named field exists in its source.</summary>
internal sealed class FieldChecks(Checks checks)
{
    private readonly IReadOnlyDictionary<string, DataSpec> data = checks.Recipe.Data ?? new Dictionary<string, DataSpec>();

    /// <summary>Runs every check.</summary>
    public void Run()
    {
        foreach (var (name, source) in data)
        {
            if (source is FilesSpec files)
                Files(files, name);
            else if (source is ViewSpec view)
                View(view, name);
        }
        foreach (var (name, table) in checks.Recipe.Tables ?? new Dictionary<string, TableSpec>())
            Table(table, $"tables.{name}");
        foreach (var (part, path) in checks.Stages.SelectMany(checks.PartsOf))
            Stage(part, path);
        foreach (var ability in (checks.Recipe.Abilities ?? new Dictionary<string, AbilitySpec>()).Values.OfType<RewardAbility>())
            RewardFields(checks.StageNamed(ability.Stage), ability.Reward);
        foreach (var (name, ability) in checks.Recipe.Abilities ?? new Dictionary<string, AbilitySpec>())
            if (ability is ChoiceAbility choice) Choice(choice, $"abilities.{name}");
    }

    private void Choice(ChoiceAbility ability, string path)
    {
        if (ability.Data is not { } source) return;
        List<string> sources = ability.ShotsFrom is { } solved ? [source, solved] : [source];
        Template(TemplateFields.In(ability.Question ?? ""), sources, $"{path}.question");
        Template(TemplateFields.In(ability.Before ?? ""), [source], $"{path}.before");
        foreach (var (text, i) in (ability.Choices ?? []).Select((text, i) => (text, i)))
            Template(TemplateFields.In(text ?? ""), sources, $"{path}.choices[{i}]");
        Template(TemplateFields.In(ability.Answer ?? ""), sources, $"{path}.answer");
        if (ability.ShotsBy is { } by && checks.Sound($"{path}.shotsBy")) Known(by, sources, $"{path}.shotsBy");
    }

    private void Files(FilesSpec files, string name)
    {
        var path = $"data.{name}";
        Package(files.Files, files.Sha512, path);
        Shape(files, path);
        Part(files.Part, path);
        if (files.Split is { } split && split.Validation + split.Test >= 1 && checks.Sound($"{path}.split"))
        {
            checks.Fault($"{path}.split",
                $"validation and test take {split.Validation + split.Test} of the rows, which leaves none to train on",
                "let them sum to less than 1");
        }
        foreach (var field in files.Split?.By ?? [])
            Known(field, [name], $"{path}.split.by");
        if (files.Distinct is { } distinct)
            Known(distinct, [name], $"{path}.distinct");
        Filters(files.Where, name, path);
    }

    // With a shape, 'fields' says which columns hold the shape's own fields. 'roles' and 'ignore' have a meaning only with a shape.
    private void Shape(FilesSpec files, string path)
    {
        if (!IsShaped(files))
        {
            foreach (var (key, there) in new[] { ("roles", files.Roles is not null), ("ignore", files.Ignore is not null) })
            {
                if (there && checks.Sound($"{path}.{key}"))
                    checks.Fault($"{path}.{key}", $"'{key}' has no meaning without a shape", "add shape: auto, or leave it out");
            }
            return;
        }
        foreach (var field in files.Fields?.Keys.Where(field => !ShapeFields.Names.Contains(field)) ?? [])
            checks.Fault(
                $"{path}.fields.{field}", $"no shape has '{field}'", Nearest.Hint(field, [.. ShapeFields.Names], "columns of shapes"));
        foreach (var (speaker, role) in files.Roles ?? new Dictionary<string, string>())
        {
            if (!ShapeFields.Roles.Contains(role))
                checks.Fault($"{path}.roles.{speaker}", $"'{role}' is not a role", Nearest.Hint(role, [.. ShapeFields.Roles], "roles"));
        }
    }

    private static bool IsShaped(FilesSpec files) =>
        files.Shape is not null || files.Files?.Any(file => DescribedData.Split(file).File is not null) == true;

    private void Part(string? part, string path)
    {
        if (part is not null && RowPart.Parse(part) is null && checks.Sound($"{path}.part"))
            checks.Fault($"{path}.part", $"'{part}' is not a part", $"write {RowPart.Form}");
    }

    private void View(ViewSpec view, string name)
    {
        var path = $"data.{name}";
        Part(view.Part, path);
        if (view.View is null)
            return;
        foreach (var (field, template) in view.Fields ?? new Dictionary<string, string>())
            Template(TemplateFields.In(template ?? ""), [view.View], $"{path}.fields.{field}");
        Filters(view.Where, view.View, path);
        if (view.Few is { By: { } by } && checks.Sound($"{path}.few.by")) Known(by, [name], $"{path}.few.by");
    }

    private void Filters(IReadOnlyList<FilterSpec>? filters, string source, string path)
    {
        foreach (var filter in filters ?? [])
        {
            if (filter.Field is { } field)
                Known(field, [source], $"{checks.PathOf(filter)}.field");
        }
    }

    private void Table(TableSpec table, string path)
    {
        if (table is ConversionTableSpec conversion)
            Package(conversion.Files, conversion.Sha512, path);
        if (table is WordNetTableSpec net)
            Package(net.Files, net.Sha512, path);
        if (table is SynonymTableSpec list)
            Package(list.Files, list.Sha512, path);
        if (table is ReadingsTableSpec readings)
            Package(readings.Files, readings.Sha512, path);
        if (table is not CharacterClassesSpec classes)
            return;
        foreach (var (field, source, key) in new[]
        {
            (classes.MarksField, classes.Marks, "marksField"),
            (classes.TextField, classes.Texts, "textField"),
            (classes.Key, classes.Marks, "key"),
            (classes.Key, classes.Texts, "key"),
        })
        {
            if (field is not null && source is not null)
                Known(field, [source], $"{path}.{key}");
        }
    }

    private void Package(IReadOnlyList<string>? files, string? sha512, string path)
    {
        var packages = (files ?? [])
            .Select(file => PackageAddress.TryParse(file, out var address, out _) ? $"{address.Name}@{address.Version}" : null)
            .OfType<string>().Distinct().ToList();
        var at = $"{path}.sha512";
        if (!checks.Sound(at))
            return;
        if (sha512 is null && packages.Count > 0)
        {
            checks.Fault(at,
                "'sha512' is missing: a package is used only when its content is as expected",
                "add sha512: BASE64, as the registry states it (integrity)");
        }
        else if (sha512 is not null && !IsSha512(sha512))
            checks.Fault(
                at, "this is not the base64 of 64 bytes", "copy the whole SHA-512, 88 characters, with or without 'sha512-' in front");
        else if (packages.Count > 1)
            checks.Fault($"{path}.files", $"one sha512 cannot verify {string.Join(" and ", packages)}", "write a source for each package");
    }

    private static bool IsSha512(string text)
    {
        const string prefix = "sha512-";
        var bare = text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : text;
        return Convert.TryFromBase64String(bare, new byte[bare.Length], out var count) && count == 64;
    }

    private void Stage(StageSpec stage, string path)
    {
        var sources = stage.Sources;
        Talks(stage, sources, path);
        if (stage.Objective is TaskSpec { Label: { } label })
            Known(label, sources, $"{path}.label");
        foreach (var (template, key) in new[]
        {
            ((stage.Objective as PretrainSpec)?.Text, "text"),
            ((stage.Objective as FinetuneSpec)?.Prompt, "prompt"),
            ((stage.Objective as FinetuneSpec)?.Answer, "answer"),
            ((stage.Objective as AlignSpec)?.Prompt, "prompt"),
            (stage.TrainsLabels ? ((TaskSpec)stage.Objective!).Reads : null, "text"),
        })
            Template(TemplateFields.In(template ?? ""), sources, $"{path}.{key}");
        if (stage.Method is PromptMethod method && stage.Objective is TaskSpec)
        {
            foreach (var (ask, i) in method.Asks().Select((ask, i) => (ask, i)))
                Template(
                    [.. TemplateFields.OfPrompt(ask.Template).Where(field => !method.Made.Contains(field))],
                    sources,
                    $"{checks.PathOf(method)}.{method.KeyOf(i)}",
                    TemplateFields.Mask);
            foreach (var question in (method.Chain ?? []).Where(question => question.Template is not null))
            {
                Template(
                    [.. TemplateFields.OfPrompt(question.Template).Where(field => !method.Made.Contains(field))],
                    sources,
                    $"{checks.PathOf(question)}.template",
                    TemplateFields.Mask);
                if (question.Answer is { } right) Known(right, sources, $"{checks.PathOf(question)}.answer");
            }
            if (method.Spans is { } spans) Known(spans.Words, sources, $"{checks.PathOf(method)}.spans.words");
            foreach (var field in method.Asks().SelectMany(ask => ask.Verbalizer!.Fields).Distinct())
                Known(field, sources, $"{checks.PathOf(method)}.verbalizer");
        }
        var judging = stage.Objective as AlignSpec;
        foreach (var reward in (judging?.Rewards?.Keys ?? []).Concat(judging?.Probes ?? []))
            RewardFields(stage, reward);
    }

    /// <summary>A finetune stage without a prompt reads the rows' own messages.</summary>
    private void Talks(StageSpec stage, IReadOnlyList<string> sources, string path)
    {
        if (stage.Objective is RewardModelSpec { Process: not null }
            && sources.FirstOrDefault(source => data.GetValueOrDefault(source) is FilesSpec files && !IsShaped(files)) is { } stepless)
            checks.Fault($"{path}.data", $"'{stepless}' has no shape that says what the steps are", "add shape: steps to the source");
        if ((stage.ReadsPairs || stage.ReadsJudged)
            && sources.FirstOrDefault(source => data.GetValueOrDefault(source) is FilesSpec files && !IsShaped(files)) is { } shapeless)
            checks.Fault(
                $"{path}.data",
                $"'{shapeless}' has no shape that says which answers are {(stage.ReadsPairs ? "chosen and rejected" : "good and bad")}",
                $"add shape: {(stage.ReadsPairs ? "preference" : "kto")} to the source");
        if (stage.Objective is not FinetuneSpec talk || !checks.Sound($"{path}.prompt", $"{path}.answer"))
            return;
        if (talk is { Prompt: not null, Answer: not null })
            return;
        if (talk.Prompt is not null || talk.Answer is not null)
        {
            var missing = talk.Prompt is null ? "prompt" : "answer";
            checks.Fault(path, $"'{missing}' is missing", $"add {missing}: TEXT, or leave out both to read the rows' own messages");
        }
        else if (sources.FirstOrDefault(source => data.GetValueOrDefault(source) is FilesSpec files && !IsShaped(files)) is { } plain)
        {
            checks.Fault(path,
                $"'prompt' and 'answer' are missing, and '{plain}' has no shape that says what its messages are",
                "add prompt: TEXT and answer: TEXT, or shape: auto to the source");
        }
    }

    /// <summary>Some rewards read fields of the prompt rows.</summary>
    private void RewardFields(StageSpec? stage, string? name)
    {
        if (name is null) return;
        var (field, key) = checks.Recipe.Rewards?.GetValueOrDefault(name) switch
        {
            PatternRewardSpec pattern => (pattern.By, "by"),
            EqualRewardSpec equal => (equal.Field, "field"),
            _ => (null, ""),
        };
        if (field is not null && checks.Sound($"rewards.{name}.{key}"))
            Known(field, stage?.Sources ?? [], $"rewards.{name}.{key}");
    }

    private void Template(IReadOnlyList<string> fields, IReadOnlyList<string> sources, string path, string? besides = null)
    {
        if (!checks.Sound(path))
            return;
        foreach (var field in fields.Distinct().Where(field => field != besides))
            Known(field, sources, path, besides);
    }

    /// <summary>Reports a field that some of the sources lack, once.</summary>
    private void Known(string field, IReadOnlyList<string> sources, string path, string? besides = null)
    {
        var lacking = sources.Distinct()
            .Select(source => (Name: source, Fields: FieldsOf(source, [])))
            .Where(source => source.Fields?.Contains(field) == false).ToList();
        if (lacking.Count == 0)
            return;
        List<string> known = besides is null ? lacking[0].Fields! : [.. lacking[0].Fields!, besides];
        var names = string.Join(" and ", lacking.Select(source => $"'{source.Name}'"));
        checks.Fault(path, $"{names} {(lacking.Count == 1 ? "has" : "have")} no field '{field}'", Nearest.Hint(field, known, "fields"));
    }

    /// <summary>The fields of a source's rows; null when they are unknown.</summary>
    private List<string>? FieldsOf(string name, HashSet<string> seen)
    {
        if (!seen.Add(name) || !checks.Sound($"data.{name}.fields"))
            return null;
        return data.GetValueOrDefault(name) switch
        {
            FilesSpec files when IsShaped(files) => null,
            FilesSpec { Fields: { } fields } => [.. fields.Keys],
            FilesSpec { Format: FileFormat.Txt } => ["text"],
            FilesSpec { Format: null, Files: { Count: > 0 } files }
                when files.All(file => file.EndsWith(".txt", StringComparison.Ordinal)) => ["text"],
            ViewSpec { View: { } below } view when FieldsOf(below, seen) is { } fields => [.. fields.Union(view.Fields?.Keys ?? [])],
            _ => null,
        };
    }
}
