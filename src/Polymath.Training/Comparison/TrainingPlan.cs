using Polymath.Recipes;

namespace Polymath.Training.Comparison;

/// <summary>A plan of trainings that are compared: the candidates, and a recipe for each. All start from one model.</summary>
public abstract class TrainingPlan
{
    private readonly Recipe recipe;

    /// <summary>A plan for a recipe.</summary>
    /// <param name="recipe">The recipe.</param>
    protected TrainingPlan(Recipe recipe) => this.recipe = recipe;

    /// <summary>The recipe.</summary>
    protected Recipe Recipe => recipe;

    /// <summary>What is compared, for the report and folders.</summary>
    public abstract string Title { get; }

    /// <summary>The ability that ranks the candidates.</summary>
    public abstract string Quality { get; }

    /// <summary>Whether a higher value is better.</summary>
    public abstract bool HigherIsBetter { get; }

    /// <summary>What is trained, in order.</summary>
    public abstract IReadOnlyList<Candidate> Candidates { get; }

    /// <summary>What is left out of the comparison and why, as sentences.</summary>
    public virtual IReadOnlyList<string> Notes => [];

    /// <summary>The stage whose model all candidates start from; null for the recipe's own model.</summary>
    public abstract string? BaseStage { get; }

    /// <summary>Whether the model before the stage is the same for all candidates of a seed, so that the report shows it once.</summary>
    public abstract bool HasOneStart { get; }

    /// <summary>The recipe of the earlier stages, or null when there are none.</summary>
    public abstract Recipe? Before();

    /// <summary>The recipe that trains a candidate.</summary>
    /// <param name="candidate">The candidate.</param>
    /// <param name="model">The folder of the model it starts from; null for the recipe's own.</param>
    public abstract Recipe For(Candidate candidate, string? model);

    /// <summary>What the measurement before a candidate's training depends on, as a recipe: equal ones are measured once.</summary>
    /// <param name="candidate">The candidate.</param>
    /// <param name="model">The folder of the model it starts from; null for the recipe's own.</param>
    public abstract Recipe StartOf(Candidate candidate, string? model);

    /// <summary>The folder in which that is measured, and the recipe that is run there.</summary>
    /// <param name="candidate">The candidate.</param>
    /// <param name="model">The folder of the model it starts from; null for the recipe's own.</param>
    public abstract (string Folder, Recipe Recipe) StartRun(Candidate candidate, string? model);

    /// <summary>Some stages alone, with the abilities that are measured of them.</summary>
    /// <param name="stages">The stages.</param>
    /// <param name="abilities">The abilities' names.</param>
    /// <param name="recipe">The recipe.</param>
    protected static Recipe Only(IReadOnlyList<StageSpec> stages, HashSet<string> abilities, Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        return recipe with
        {
            Rounds = null,
            Stages = [.. stages.Select(one => one with
            {
                Evaluate = one.Evaluate is { } evaluate
                    ? evaluate with { Abilities = [.. (evaluate.Abilities ?? []).Where(abilities.Contains)] }
                    : null,
                Checkpoint = one.Checkpoint is { Best: { } best and not EvaluateSpec.HeldOutLoss } checkpoint && !abilities.Contains(best)
                    ? checkpoint with { Best = null }
                    : one.Checkpoint,
            })],
            Abilities = recipe.Abilities?.Where(pair => abilities.Contains(pair.Key)).ToDictionary(pair => pair.Key, pair => pair.Value),
        };
    }
}
