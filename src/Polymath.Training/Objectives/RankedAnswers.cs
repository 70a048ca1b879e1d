using Polymath.Models;
using Polymath.Training.Objectives.Preferences;

namespace Polymath.Training.Objectives;

/// <summary>Several answers to a prompt are ranked by their rewards (RRHF, Yuan et al. 2023); counted by prompt.</summary>
/// <param name="loss">The loss.</param>
public sealed class RankedAnswers(RankLoss loss) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["best first"];

    /// <inheritdoc/>
    public override bool SharesBeginnings => true;

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(items);
        var groups = items.Cast<GroupItem>().ToList();
        var answers = AnswerScores.Of(TokenValues.LogProbabilities(model, batch));
        var each = loss.Each(answers, [.. groups.SelectMany(group => group.Rewards)], [.. groups.Select(group => group.Rows.Count)]);
        var sum = each.sum();
        var means = (answers.Policy / answers.Lengths).detach().cpu().data<float>().ToArray();
        double first = 0;
        var at = 0;
        foreach (var group in groups)
        {
            var own = means[at..(at += group.Rows.Count)];
            var rewards = group.Rewards.ToList();
            if (rewards.IndexOf(rewards.Max()) == Array.IndexOf(own, own.Max())) first++;
        }
        return new Score(sum, items.Count, new Dictionary<string, double> { ["best first"] = first });
    }
}
