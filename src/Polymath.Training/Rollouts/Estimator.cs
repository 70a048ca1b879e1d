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

    /// <summary>Whether answers are scored by the policy at the start of the stage, too.</summary>
    public virtual bool ComparesWithStart => false;

    /// <summary>Whether the policy that sampled scores the answers.</summary>
    public virtual bool ScoresAnswers => true;

    /// <summary>Values the places of answers; null for none.</summary>
    public virtual Critic? Critic => null;

    /// <summary>The answers of which something is learned.</summary>
    /// <param name="answers">The answers of the round.</param>
    public abstract IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers);

    /// <summary>The items.</summary>
    /// <param name="answers">The answers of the round; the chosen ones are scored.</param>
    public abstract IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers);

    /// <summary>Figures of a round besides those of its rewards.</summary>
    /// <param name="answers">The answers of the round; the chosen ones are scored.</param>
    public virtual IEnumerable<(string Name, double Value)> Figures(IReadOnlyList<SampledAnswer> answers) => [];

    /// <summary>Remembers a round that is over, before the next one. All rounds before a round are followed in their order.</summary>
    /// <param name="answers">The answers of the round.</param>
    public virtual void Follow(IReadOnlyList<SampledAnswer> answers)
    {
    }

    /// <summary>Groups of answers are compared with each other: a number for each answer.</summary>
    /// <param name="answers">The answers.</param>
    protected static IReadOnlyList<int> Groups(IReadOnlyList<SampledAnswer> answers) => [.. answers.Select(answer => answer.Group)];

    /// <summary>The scores of the answers; NaN for none.</summary>
    /// <param name="answers">The answers.</param>
    protected static IReadOnlyList<double> Scores(IReadOnlyList<SampledAnswer> answers) =>
        [.. answers.Select(answer => answer.Score ?? double.NaN)];

    /// <summary>The answers that have a score.</summary>
    /// <param name="answers">The answers.</param>
    protected static IReadOnlyList<int> Scored(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return [.. Enumerable.Range(0, answers.Count).Where(i => answers[i].Score is not null)];
    }
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

/// <summary>All answers to a prompt, ranked by their scores; prompts whose answers score alike teach nothing.</summary>
public sealed class WholeGroups : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "prompts";

    /// <inheritdoc/>
    public override bool ScoresAnswers => false;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) =>
        AnswerChoice.OfDifferingGroups(Scores(answers), Groups(answers));

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return
        [
            .. Chosen(answers).GroupBy(i => answers[i].Group).Select(group => new GroupItem(
                [.. group.Select(i => answers[i].Row())], [.. group.Select(i => answers[i].Score!.Value)])),
        ];
    }
}

/// <summary>The best answer to each prompt is learned as if it were given.</summary>
/// <param name="least">The least score of one that is learned.</param>
public sealed class BestOfEach(double? least) : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override bool ScoresAnswers => false;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers) =>
        [.. AnswerChoice.Best(Scores(answers), Groups(answers)).Where(i => least is null || answers[i].Score >= least)];

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers) =>
        [.. Chosen(answers).Select(i => new Item([answers[i].Row()]))];
}

/// <summary>Every answer, for what needs no reward.</summary>
public sealed class EveryAnswer : Estimator
{
    /// <inheritdoc/>
    public override string Figure => "answers";

    /// <inheritdoc/>
    public override bool ScoresAnswers => false;

    /// <inheritdoc/>
    public override IReadOnlyList<int> Chosen(IReadOnlyList<SampledAnswer> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        return [.. Enumerable.Range(0, answers.Count)];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Item> Items(IReadOnlyList<SampledAnswer> answers) =>
        [.. Chosen(answers).Select(i => new Item([answers[i].Row()]))];
}
