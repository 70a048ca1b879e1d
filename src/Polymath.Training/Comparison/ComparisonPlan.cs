using System.Globalization;
using System.Text.Json;
using Polymath.Recipes;
using Polymath.Tuning;

namespace Polymath.Training.Comparison;

/// <summary>
/// The plan of a comparison: the candidates, and the recipe that trains each of them. All start from the same model: the result of the
/// earlier stages.
/// </summary>
public sealed class ComparisonPlan : TrainingPlan
{
    private readonly Recipe recipe;
    private readonly StageSpec stage;

    /// <summary>Makes the plan of a comparison.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="spec">What is compared.</param>
    /// <exception cref="InputException">A name is not known, the stage measures nothing, or a form has no such setting.</exception>
    public ComparisonPlan(Recipe recipe, ComparisonSpec spec)
        : base(recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(spec);
        (this.recipe, Spec) = (recipe, spec);
        var names = string.Join(", ", recipe.Stages.Select(one => one.Name));
        stage = spec.Stage is { } name
            ? recipe.Stages.FirstOrDefault(one => one.Name == name)
                ?? throw new InputException($"The recipe has no stage '{name}'; its stages are {names}.")
            : recipe.Stages[^1];
        var abilities = AbilitiesOf(stage);
        if (abilities.Count == 0)
            throw new InputException($"The recipe measures no ability on the stage {stage.Name}, so candidates could not be "
                + $"compared. Add one under abilities with stage: {stage.Name}, or name another stage with --stage ({names}).");
        Quality = spec.Quality ?? abilities[0];
        if (!abilities.Contains(Quality))
            throw new InputException($"'{Quality}' is not an ability of the stage {stage.Name}; those are {string.Join(", ", abilities)}.");
        var forms = spec.Deltas.Where(delta => !IsFull(delta)).Select(delta => DeltaPresets.Find(delta).Form).ToList();
        foreach (var setting in (spec.Settings ?? new Dictionary<string, IReadOnlyList<string>>()).Keys)
            if (!forms.Exists(form => DeltaPlan.Knows(form, setting)))
                throw new InputException($"None of {string.Join(", ", spec.Deltas)} has the setting '{setting}'. Write one by PEFT's name, "
                    + $"such as {string.Join(", ", forms.SelectMany(DeltaPlan.SettingsOf).Distinct().Take(6))}.");
        Candidates = [.. Expand()];
        foreach (var candidate in Candidates)
            if (candidate.Delta is { } delta) DeltaPlan.Check(delta, candidate.Name, stage.Steps);
    }

    /// <summary>What is compared.</summary>
    public ComparisonSpec Spec { get; }

    /// <summary>The stage.</summary>
    public StageSpec Stage => stage;

    /// <inheritdoc/>
    public override string Title => stage.Name;

    /// <inheritdoc/>
    public override string Quality { get; }

    /// <inheritdoc/>
    public override bool HigherIsBetter => recipe.Abilities![Quality].HigherIsBetter;

    /// <inheritdoc/>
    public override IReadOnlyList<Candidate> Candidates { get; }

    /// <inheritdoc/>
    public override string? BaseStage => recipe.Stages.TakeWhile(one => one.Name != stage.Name).LastOrDefault()?.Name;

    /// <inheritdoc/>
    public override bool HasOneStart => true;

    private static bool IsFull(string delta) => string.Equals(delta, "full", StringComparison.OrdinalIgnoreCase);

    private IEnumerable<Candidate> Expand()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var folders = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, delta, rate) in Ways())
        {
            // A form without the swept size or setting is trained once.
            if (!seen.Add(name)) continue;
            for (var i = 0; i < Spec.Seeds; i++)
            {
                var candidate = new Candidate(name, recipe.Seed + i, delta, rate);
                yield return folders.Add(candidate.Folder)
                    ? candidate
                    : throw new InputException($"'{name}' and another candidate would share the folder {candidate.Folder}: their names "
                        + "differ in punctuation only. Leave one out.");
            }
        }
    }

    private IEnumerable<(string Name, DeltaSpec? Delta, double? Rate)> Ways()
    {
        foreach (var name in Spec.Deltas)
            foreach (var rate in Spec.Rates is { Count: > 0 } rates ? rates.Select(rate => (double?)rate) : [null])
            {
                var end = rate is { } said ? $" rate {said.ToString("G", CultureInfo.InvariantCulture)}" : "";
                if (IsFull(name))
                {
                    yield return ("full" + end, null, rate);
                    continue;
                }
                foreach (var (label, spec) in Shapes(name)) yield return (label + end, spec, rate);
            }
    }

    private IEnumerable<(string Label, DeltaSpec Spec)> Shapes(string name)
    {
        var form = DeltaPresets.Find(name) with { Merge = false };
        foreach (var roles in Spec.Roles is { Count: > 0 } choices && DeltaPlan.HasSockets(form.Form)
            ? choices
            : (IReadOnlyList<IReadOnlyList<Socket>?>)[form.Roles])
            foreach (var settings in Varied(form))
                foreach (var budget in Spec.Budgets is { Count: > 0 } budgets && DeltaPlan.HasSize(form.Form)
                    ? budgets.Select(text => (string?)text)
                    : [null])
                {
                    var label = name + (Spec.Roles is { Count: > 0 } && roles is not null
                        ? $" on {string.Join('+', roles.Select(role => JsonNamingPolicy.CamelCase.ConvertName(role.ToString())))}"
                        : "")
                        + string.Concat(settings.Select(pair => $" {pair.Key}={pair.Value}")) + (budget is null ? "" : $" {budget}");
                    yield return (label, form with
                    {
                        Roles = roles,
                        Budget = budget,
                        Settings = settings.Count == 0
                            ? form.Settings
                            : (form.Settings ?? new Dictionary<string, string>()).Concat(settings)
                                .GroupBy(pair => pair.Key).ToDictionary(group => group.Key, group => group.Last().Value),
                    });
                }
    }

    // Every combination of the settings that the form has.
    private IEnumerable<IReadOnlyList<KeyValuePair<string, string>>> Varied(DeltaSpec form)
    {
        IEnumerable<IReadOnlyList<KeyValuePair<string, string>>> all = [[]];
        foreach (var (key, values) in Spec.Settings ?? new Dictionary<string, IReadOnlyList<string>>())
            if (DeltaPlan.Knows(form.Form, key))
                all = [.. all.SelectMany(
                    made => values.Select(value => (IReadOnlyList<KeyValuePair<string, string>>)[.. made, new(key, value)]))];
        return all;
    }

    private List<string> AbilitiesOf(StageSpec of) =>
        [.. (recipe.Abilities ?? new Dictionary<string, AbilitySpec>())
            .Where(pair => pair.Value.StageName == of.Name).Select(pair => pair.Key)];

    /// <summary>
    /// The recipe of the earlier stages, or null when the stage is the first. Its measurements are left out, except those that choose the
    /// best checkpoints.
    /// </summary>
    public override Recipe? Before()
    {
        var stages = recipe.Stages.TakeWhile(one => one.Name != stage.Name).ToList();
        if (stages.Count == 0) return null;
        var needed = stages.Select(one => one.Checkpoint?.Best).OfType<string>().ToHashSet(StringComparer.Ordinal);
        return Only(stages, needed, recipe) with { Name = recipe.Name + "-base" };
    }

    /// <summary>The recipe that trains a candidate.</summary>
    /// <param name="candidate">The candidate.</param>
    /// <param name="model">The folder of the model it starts from; null for the recipe's own.</param>
    public override Recipe For(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        // Every candidate stores the base model in the precision of the stage, so only the methods differ.
        MethodSpec method = candidate.Delta is { } delta ? delta with { Base = BaseOf(stage.Method) } : new FullMethod();
        var optimizer = stage.Optimizer with { Rate = candidate.Rate ?? stage.Optimizer.Rate };
        // LoRA+ is for candidates that have a B.
        if (optimizer is AdamwSpec adam && candidate.Delta?.TrainsB() != true) optimizer = adam with { LoraPlusRatio = 1 };
        var trained = stage with
        {
            Method = stage.Method is PromptMethod prompt ? prompt with { Train = method } : method,
            Optimizer = optimizer,
        };
        var own = Only([trained], [.. AbilitiesOf(stage)], recipe);
        return own with
        {
            Name = $"{recipe.Name}-{candidate.Folder}",
            Seed = candidate.Seed,
            Model = model is null ? own.Model : new PretrainedSpec(model),
            Tokenizer = model is null ? own.Tokenizer : null,
        };
    }

    private static BasePrecision? BaseOf(MethodSpec? method) => method?.Plain() switch
    {
        DeltaSpec delta => delta.Base,
        AdaptersMethod several => several.Base,
        _ => null,
    };

    // The measurements before the stage depend on the model, the stage and the seed, but not on the candidate.
    /// <inheritdoc/>
    public override Recipe StartOf(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        return For(
            new Candidate(
                "start/",
                candidate.Seed,
                null,
                null),
            model);
    }

    /// <inheritdoc/>
    public override (string Folder, Recipe Recipe) StartRun(Candidate candidate, string? model)
    {
        ArgumentNullException.ThrowIfNull(candidate);
        return (candidate.Folder, For(candidate, model));
    }
}
