using static TorchSharp.torch;

namespace Polymath.Training.Objectives.Preferences;

/// <summary>
/// RRHF (Yuan et al. 2023, eq. 2 to 4) over k answers to a prompt: Σ over answers i, j with reward i &lt; reward j of max(0, p_i − p_j),
/// p the MEAN log-probability, plus w·(−Σ log π) of the best answer. REDUCTION: Σ over prompts / the step's prompts.
/// </summary>
/// <param name="BestWeight">w; 1 in the paper.</param>
public sealed record RankLoss(double BestWeight = 1)
{
    /// <summary>The loss of each prompt [prompts].</summary>
    /// <param name="answers">The answers of all prompts, each prompt's one after the other.</param>
    /// <param name="rewards">A reward for each answer.</param>
    /// <param name="answersOf">The number of answers of each prompt.</param>
    public Tensor Each(AnswerScores answers, IReadOnlyList<double> rewards, IReadOnlyList<int> answersOf)
    {
        ArgumentNullException.ThrowIfNull(answers);
        ArgumentNullException.ThrowIfNull(rewards);
        ArgumentNullException.ThrowIfNull(answersOf);
        var losses = new List<Tensor>();
        var first = 0;
        foreach (var count in answersOf)
        {
            losses.Add(Of(answers, first, [.. rewards.Skip(first).Take(count)]));
            first += count;
        }
        return stack(losses);
    }

    private Tensor Of(AnswerScores answers, int first, double[] rewards)
    {
        var sums = answers.Policy.narrow(0, first, rewards.Length);
        var means = sums / answers.Lengths.narrow(0, first, rewards.Length);
        var given = tensor(rewards, device: means.device);
        var worse = given.unsqueeze(1).lt(given.unsqueeze(0)).to(means.dtype);                              // [i, j]: i is worse than j
        var ranks = ((means.unsqueeze(1) - means.unsqueeze(0)).relu() * worse).sum();
        return ranks - sums[Array.IndexOf(rewards, rewards.Max())] * BestWeight;
    }
}
