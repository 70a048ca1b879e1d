using Polymath.Models;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// Direct preference optimization (Rafailov et al. 2023, eq. 7): Σ −log σ(β·((log π(chosen) − log π₀(chosen)) − (log
/// π(rejected) − log π₀(rejected)))), log π is summed over an answer's tokens; the loss is counted by pair. The chosen answer's mean
/// negative log-likelihood is added with a weight (Pang et al. 2024, eq. 1).
/// </summary>
/// <param name="beta">β.</param>
/// <param name="answerWeight">The weight of the chosen answer's own likelihood.</param>
public sealed class DirectPreference(double beta, double answerWeight) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["margin", "accuracy"];

    /// <inheritdoc/>
    public override Score Evaluate(LanguageModel model, Batch batch, IReadOnlyList<Item> items)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(items);
        var policy = RowSums(model, batch);                                                             // [2·pairs]
        var reference = tensor(items.SelectMany(item => item.Reference!).ToArray(), device: policy.device);
        var ratios = (policy - reference).view(-1, 2);                                                  // [pairs, (chosen, rejected)]
        var margins = ratios.select(1, 0) - ratios.select(1, 1);
        var loss = Loss(margins, beta);
        if (answerWeight > 0)
        {
            var lengths = tensor(items.Select(item => (float)item.Rows[0].Targets).ToArray(), device: policy.device);
            loss = loss - (policy.view(-1, 2).select(1, 0) / lengths).sum() * answerWeight;
        }
        return new Score(loss, items.Count, new Dictionary<string, double>
        {
            ["margin"] = beta * margins.sum().item<float>(),
            ["accuracy"] = margins.gt(0).sum().item<long>(),
        });
    }

    /// <summary>Σ −log σ(β·margin) over margins [pairs].</summary>
    /// <param name="margins">The differences of the log-ratios of chosen and rejected answers.</param>
    /// <param name="beta">β.</param>
    public static Tensor Loss(Tensor margins, double beta)
    {
        ArgumentNullException.ThrowIfNull(margins);
        return new SigmoidLoss(beta).Of(margins).sum();
    }

    /// <summary>The log-probability of each row's targets, summed by row [rows], with a gradient.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows.</param>
    public static Tensor RowSums(LanguageModel model, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        var each = model.LogProbabilities(batch);
        return RowLayout.Of(batch, each.device).Sums(each);
    }
}
