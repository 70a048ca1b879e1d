using Polymath.Recipes;

namespace Polymath.Training.Comparison;

/// <summary>
/// The plan of a comparison of task stages: prompts of several kinds, and heads over labels, each on no, few and all training rows, with
/// several seeds. A seed draws other rows, and other fresh weights. All start from one model, and are measured on the same test rows.
/// </summary>
public sealed class PromptPlan : TrainingPlan
{
    /// <summary>The names of the figures.</summary>
    public const string Accuracy = "accuracy", MacroF1 = "macroF1";

    private readonly IReadOnlyList<StageSpec> stages;
    private readonly string? before;

    /// <summary>Makes the plan.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="names">The task stages that are compared.</param>
    /// <param name="shots">The training rows of each label: 0 for none, null for all.</param>
    /// <param name="seeds">The number of seeds, starting from the recipe's seed.</param>
    /// <exception cref="InputException">A name is no task stage, or the stages do not start from one model or read other rows.</exception>
    public PromptPlan(
        Recipe recipe,
        IReadOnlyList<string> names,
        IReadOnlyList<int?> shots,
        int seeds)
        : base(recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(shots);
        var tasks = recipe.Stages.Where(stage => stage.Objective is TaskSpec).Select(stage => stage.Name).ToList();
        stages = [.. names.Distinct().Select(name => recipe.Stages.FirstOrDefault(stage => stage.Name == name && tasks.Contains(name))
            ?? throw new InputException($"--prompts names '{name}', which is no task stage of the recipe; those are "
                + $"{string.Join(", ", tasks)}."))];
        foreach (var stage in stages)
        {
            if (!stage.Sources.SequenceEqual(stages[0].Sources) || LabelOf(stage) != LabelOf(stages[0]))
                throw new InputException($"{stage.Name} and {stages[0].Name} read other data or other labels, so they cannot be compared. "
                    + "Give them the same data and label.");
            if (stage.Method is PromptMethod { Spans: not null })
                throw new InputException($"{stage.Name} asks for spans, and rows are compared by one label each. Leave it out.");
            if (stage.Sources.Count != 1)
                throw new InputException($"{stage.Name} reads {stage.Sources.Count} sources, and few rows are drawn from one. Name one.");
            if (ParentOf(stage) != ParentOf(stages[0]))
                throw new InputException($"{stage.Name} starts from {ParentOf(stage) ?? "the recipe's model"}, and {stages[0].Name} from "
                    + $"{ParentOf(stages[0]) ?? "the recipe's model"}. Give all of them from: STAGE, so that they start from one model.");
        }
        before = ParentOf(stages[0]);
        Candidates = [.. shots.Distinct().SelectMany(count => stages.Where(stage => count != 0 || NeedsRows(stage) is null)
            .SelectMany(stage => Enumerable.Range(0, count == 0 ? 1 : seeds).Select(i => CandidateOf(stage, count, i))))];
        Notes = shots.Contains(0)
            ? [.. stages.Where(stage => NeedsRows(stage) is not null).Select(stage =>
                $"{stage.Name} cannot be asked without training rows, and is left out at 0: {NeedsRows(stage)}.")]
            : [];
        if (Candidates.Count == 0) throw new InputException($"{string.Join(" ", Notes)} Give --shots 16, too.");
        var folders = Candidates.GroupBy(one => one.Folder, StringComparer.OrdinalIgnoreCase);
        if (folders.FirstOrDefault(group => group.Count() > 1) is { } shared)
            throw new InputException($"{string.Join(" and ", shared.Select(one => one.Stage))} would share the folder {shared.Key}: their "
                + "names differ in punctuation or capitals only. Leave one out, or rename its stage.");
    }

    private Candidate CandidateOf(StageSpec stage, int? count, int seed) => new(
        $"{stage.Name} {count?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "full"}",
        Recipe.Seed + seed,
        null,
        null)
    {
        Stage = stage.Name, Shots = count,
    };

    // Why a stage has no result without rows; null where it has one.
    private static string? NeedsRows(StageSpec stage) => stage switch
    {
        { TrainsHead: true } => "its head over labels has to be trained",
        { Method: PromptMethod { LooksAtLabels: true } } => "its prompt looks at rows with their labels before the first step",
        _ => null,
    };

    // The recipe may have data of this name already.
    private static string Few(string source, Dictionary<string, DataSpec> taken)
    {
        var name = $"{source}-few";
        for (var i = 2; taken.ContainsKey(name); i++) name = $"{source}-few{i}";
        return name;
    }

    private static string LabelOf(StageSpec stage) => ((TaskSpec)stage.Objective).Label;

    private string? ParentOf(StageSpec stage) => Recipe.ParentOf(Recipe.Visits().First(visit => visit.Stage == stage))?.Stage.Name;

    /// <inheritdoc/>
    public override string Title => string.Join(", ", stages.Select(stage => stage.Name));

    /// <inheritdoc/>
    public override string Quality => Accuracy;

    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <inheritdoc/>
    public override IReadOnlyList<Candidate> Candidates { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Notes { get; }

    /// <inheritdoc/>
    public override string? BaseStage => before;

    /// <inheritdoc/>
    public override bool HasOneStart => false;

    /// <inheritdoc/>
    public override Recipe? Before()
    {
        if (before is null) return null;
        var line = new List<StageSpec>();
        for (var stage = Recipe.Stages.First(one => one.Name == before); ;)
        {
            line.Insert(0, stage);
            if (ParentOf(stage) is not { } parent) break;
            stage = Recipe.Stages.First(one => one.Name == parent);
        }
        // A tokenizer is trained on the rows of every stage, so the compared ones stay in the recipe's order of data.
        return Only(line, [], Recipe) with { Name = Recipe.Name + "-base" };
    }

    /// <inheritdoc/>
    public override Recipe For(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        var stage = stages.First(one => one.Name == candidate.Stage);
        var data = Recipe.Data.ToDictionary(pair => pair.Key, pair => pair.Value);
        var source = stage.Sources[0];
        if (candidate.Shots is > 0 and var count)
        {
            source = Few(source, data);
            data[source] = new ViewSpec(stage.Sources[0], Few: new FewSpec(LabelOf(stage), count, candidate.Seed));
        }
        var own = Only([stage with { Data = [source], From = null, Require = null, Else = null }], [], Recipe);
        return own with
        {
            Name = $"{Recipe.Name}-{candidate.Folder}",
            Seed = candidate.Seed,
            Data = data,
            Model = model is null ? own.Model : new PretrainedSpec(model),
            Tokenizer = model is null ? own.Tokenizer : null,
            Abilities = new Dictionary<string, AbilitySpec>
            {
                [Accuracy] = new AccuracyAbility(stage.Name, int.MaxValue, DataSplit.Test),
                [MacroF1] = new AccuracyAbility(stage.Name, int.MaxValue, DataSplit.Test, LabelFigure.MacroF1),
            },
        };
    }

    /// <inheritdoc/>
    public override Recipe StartOf(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        return For(
            new Candidate(
                $"{candidate.Stage} start",
                Recipe.Seed,
                null,
                null) { Stage = candidate.Stage },
            model);
    }

    /// <inheritdoc/>
    public override (string Folder, Recipe Recipe) StartRun(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        return ($"start-{candidate.Stage}", StartOf(candidate, model));
    }
}
