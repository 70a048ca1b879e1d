using Polymath.Models;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training.Rollouts;

/// <summary>
/// What models say of sampled answers, without dropout: the policy that sampled, the policy at the start of the stage, and the critic.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="estimator">Says what is needed, and at what temperature.</param>
/// <param name="start">The policy at the start of the stage; null where it is not needed.</param>
public sealed class RoundScores(LanguageModel model, Estimator estimator, StartingPolicy? start)
{
    /// <summary>Scores some answers of a round.</summary>
    /// <param name="answers">The answers; those that are scored are replaced.</param>
    /// <param name="chosen">Which.</param>
    /// <param name="stop">Stops between two batches.</param>
    public void Score(List<SampledAnswer> answers, IReadOnlyList<int> chosen, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(answers);
        using var frozen = no_grad();
        if (estimator.ScoresAnswers) Each(answers, chosen, withValues: true, stop);
        if (!estimator.ComparesWithStart) return;
        using (start!.In()) Each(answers, chosen, withValues: false, stop);
    }

    private void Each(
        List<SampledAnswer> answers,
        IReadOnlyList<int> chosen,
        bool withValues,
        CancellationToken stop)
    {
        foreach (var part in TokenChunks.Of(
            chosen, i => answers[i].PromptIds.Length + answers[i].AnswerIds.Length, TokenChunks.Measured))
        {
            stop.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var rows = part.ConvertAll(i => answers[i].Row());
            using var batch = model.Lay(rows, shares: true);
            var hidden = model.Hidden(batch);
            var logs = model.LogProbabilities(hidden.index_select(0, batch.Places), batch.Targets, estimator.Temperature)
                .cpu().data<float>().ToArray();
            var places = part.ConvertAll(i => answers[i].AnswerIds.Length + (answers[i].Ended ? 1 : 0));
            var values = withValues
                ? estimator.Critic?.Values(hidden, batch, rows, places).cpu().data<float>().ToArray()
                : null;
            int from = 0, place = 0;
            for (var row = 0; row < part.Count; row++)
            {
                var answer = answers[part[row]];
                var own = logs[from..(from += answer.AnswerIds.Length)];
                answers[part[row]] = withValues
                    ? answer with { LogProbabilities = own, Values = values?[place..(place += places[row])] }
                    : answer with { Reference = own };
            }
        }
    }
}
