using Polymath.Models;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// PPO (Schulman et al. 2017): the clipped loss of the policy's tokens as a mean over the step's tokens, and the clipped loss of the critic
/// as a mean over the step's places, both from one forward pass.
/// </summary>
/// <param name="critic">The critic.</param>
/// <param name="policy">The policy's loss.</param>
/// <param name="value">The critic's loss.</param>
/// <param name="valueWeight">The weight of the critic's loss.</param>
/// <param name="temperature">The temperature at which the answers were sampled.</param>
public sealed class ActorCritic(
    Critic critic,
    ClippedLoss policy,
    ValueLoss value,
    double valueWeight,
    double temperature) : Objective
{
    private static readonly string[] figures = ["ratio", "kl", "clipped", "entropy", "far ratios", "policy loss", "value loss",
        "value clipped"];

    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures => figures;

    /// <inheritdoc/>
    public override bool SharesBeginnings => true;

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(items);
        var answers = items.Cast<TrajectoryItem>().ToList();
        var hidden = model.Hidden(batch);
        var each = model.LogProbabilities(hidden.index_select(0, batch.Places), batch.Targets, temperature);
        var logs = new TokenValues(each, RowLayout.Of(batch, each.device));
        Tensor Flat(Func<TrajectoryItem, IReadOnlyList<float>> of) => tensor(answers.SelectMany(of).ToArray(), device: each.device);
        var tokens = new PolicyTokens(logs, Flat(answer => answer.Old), Flat(answer => answer.Advantages));
        var policyLoss = new AllTokens().Share(policy.Each(tokens), logs.Rows, step);
        var values = critic.Values(
            hidden,
            batch,
            [.. answers.Select(answer => answer.Rows[0])],
            [.. answers.Select(answer => answer.Returns.Count)]);
        var (old, returns) = (Flat(answer => answer.Values), Flat(answer => answer.Returns));
        var valueLoss = value.Each(values, old, returns).sum() / step.Places;
        // The loop divides by the step's rows.
        var loss = (policyLoss + valueLoss * valueWeight) * step.Rows;
        using var frozen = no_grad();
        var ratios = tokens.Ratios(policy.Level);
        var (below, above) = policy.Clipped(ratios, tokens.Advantages);
        double Share(Tensor flags) => flags.to(ScalarType.Float32).sum().item<float>() / step.Places * step.Rows;
        double Mean(Tensor of) => logs.Rows.Means(of).sum().item<float>();
        return new Score(loss, items.Count, new Dictionary<string, double>
        {
            ["ratio"] = Mean(ratios),
            ["kl"] = Mean(KlEstimate.Each(KlKind.K3, each, tokens.Old)),
            ["clipped"] = Mean(below.logical_or(above).to(ratios.dtype)),
            ["entropy"] = -Mean(each),
            ["far ratios"] = Mean(ratios.lt(0.5).logical_or(ratios.gt(2)).to(ratios.dtype)),
            ["policy loss"] = policyLoss.item<float>() * step.Rows,
            ["value loss"] = valueLoss.item<float>() * step.Rows,
            ["value clipped"] = Share(value.Clipped(values, old, returns)),
        });
    }
}
