using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;

namespace Polymath.Training.Rollouts;

/// <summary>What is learned from the judged answers of a round.</summary>
public abstract class Estimator
{
    /// <summary>The name of the figure that counts what is learned from.</summary>
    public abstract string Figure { get; }

    /// <summary>At what temperature the answers are scored.</summary>
    public virtual double Temperature => 1;

    /// <summary>The answers of which something is learned, and which are scored by the policy that sampled them.</summary>
    /// <param name="answers">The answers of the round.</param>
    public abstract IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers);

    /// <summary>The items.</summary>
    /// <param name="answers">The answers of the round; the chosen ones are scored.</param>
    public abstract IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers);

    /// <summary>Groups of answers are compared with each other: a number for each answer.</summary>
    /// <param name="answers">The answers.</param>
    protected static IReadOnlyList<int> Groups(IReadOnlyList<SampledAnswer> answers) => [.. answers.Select(answer => answer.Group)];

    /// <summary>The scores of the answers; NaN for none.</summary>
    /// <param name="answers">The answers.</param>
    protected static IReadOnlyList<double> Scores(IReadOnlyList<SampledAnswer> answers) =>
        [.. answers.Select(answer => answer.Score ?? double.NaN)];
}

/// <summary>The best and the worst answer to each prompt become a pair (online DPO, Guo et al. 2024), where they differ.</summary>
/// <param name="hasReference">Whether the loss compares with the policy that sampled.</param>
/// <param name="lengthWeight">The weight of the tokens behind a pair's common length (LD-DPO).</param>
public sealed class BestAndWorst(bool hasReference = true, double lengthWeight = 1) : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "pairs";

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) =>
        [.. Pairs(answers).SelectMany(pair => new[] { pair.Chosen, pair.Rejected })];

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers) => [.. Pairs(answers).Select(pair =>
    {
        var (best, worst) = (answers[pair.Chosen], answers[pair.Rejected]);
        var common = Math.Min(best.AnswerIds.Length, worst.AnswerIds.Length);
        return new PairItem(
            [best.Row(), worst.Row()],
            hasReference ? [Sum(best, common), Sum(worst, common)] : []);
    })];

    private float Sum(SampledAnswer answer, int common) =>
        (float)answer.LogProbabilities.Select((value, place) => place < common ? value : value * lengthWeight).Sum();

    private static IEnumerable<(int Chosen, int Rejected)> Pairs(IReadOnlyList<SampledAnswer> answers) =>
        AnswerChoice.Pairs(Scores(answers), Groups(answers)).Where(pair => answers[pair.Chosen].Score > answers[pair.Rejected].Score);
}

/// <summary>Each answer has an advantage over the other answers to its prompt; groups whose answers score alike teach nothing.</summary>
/// <param name="by">How advantages are made.</param>
/// <param name="temperature">At what temperature the answers were sampled.</param>
public sealed class GroupRelative(AlignBy by, double temperature) : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override double Temperature => temperature;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) =>
        AnswerChoice.OfDifferingGroups(Scores(answers), Groups(answers));

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers)
    {
        var advantages = Advantages(Scores(answers), Groups(answers));
        return [.. Chosen(answers)
            .Select(i => new AnswerItem([answers[i].Row()], answers[i].LogProbabilities, advantages[i]))];
    }

    private double[] Advantages(IReadOnlyList<double> scores, IReadOnlyList<int> groups) => by switch
    {
        RlooSpec spec => GroupAdvantages.LeaveOneOut(scores, groups, spec.Normalize),
        GrpoSpec spec => GroupAdvantages.Of(new RewardTable([.. scores.Select(score => new[] { score })]), groups, spec.Scale switch
        {
            AdvantageScale.Group => RewardScale.Group,
            AdvantageScale.Round => RewardScale.Step,
            _ => RewardScale.None,
        }),
        _ => throw new InvalidOperationException($"{by.Kind} has no advantages."),
    };
}
