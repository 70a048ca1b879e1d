using Polymath.Models;
using Polymath.Training.Objectives.Policies;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// A policy-gradient loss of answers that the model sampled, with the KL divergence from the policy at the start of the stage as a penalty.
/// </summary>
/// <param name="loss">The loss of tokens.</param>
/// <param name="average">How the losses of tokens become that of a step.</param>
/// <param name="klWeight">The weight of the KL divergence (k3).</param>
/// <param name="temperature">The temperature at which the answers were sampled: logits are divided by it.</param>
public sealed class SampledAnswers(
    PolicyLoss loss,
    TokenAverage average,
    double klWeight,
    double temperature) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["ratio", "kl", "clipped", "entropy", "far ratios"];

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
        var answers = items.Cast<AnswerItem>().ToList();
        var policy = Values(model, batch, temperature);
        var device = policy.Each.device;
        var old = tensor(answers.SelectMany(answer => answer.Old).ToArray(), device: device);
        var tokens = new PolicyTokens(policy, old, Advantages(answers, policy));
        var each = loss.Each(tokens);
        // Without a reference, the divergence from the policy that sampled is only recorded.
        var kl = KlEstimate.Each(
            KlKind.K3,
            policy.Each,
            answers[0].Reference is null ? old : tensor(answers.SelectMany(answer => answer.Reference!).ToArray(), device: device));
        if (klWeight > 0) each = each + kl * klWeight;
        // The formula divides by what it counts; the loop divides by the step's rows.
        var sum = average.Share(each, policy.Rows, step) * step.Rows;
        using var frozen = no_grad();
        var ratios = tokens.Ratios(loss.Level);
        return new Score(sum, items.Count, new Dictionary<string, double>
        {
            ["ratio"] = policy.Rows.Means(ratios).sum().item<float>(),
            ["kl"] = policy.Rows.Means(kl).sum().item<float>(),
            ["clipped"] = Clipped(tokens, ratios).sum().item<float>(),
            ["entropy"] = -policy.Means().sum().item<float>(),
            ["far ratios"] = policy.Rows.Means(ratios.lt(0.5).logical_or(ratios.gt(2)).to(ratios.dtype)).sum().item<float>(),
        });
    }

    // Of a token where they are known, or of its answer.
    private static Tensor Advantages(List<AnswerItem> answers, TokenValues policy)
    {
        var each = answers.SelectMany((answer, row) => answer.Advantages
            ?? Enumerable.Repeat((float)answer.Advantage, policy.Rows.Lengths[row]));
        return tensor(each.ToArray(), device: policy.Each.device);
    }

    private Tensor Clipped(PolicyTokens tokens, Tensor ratios)
    {
        if (loss is not ClippedLoss clipping)
            return zeros(1);
        var (below, above) = clipping.Clipped(ratios, tokens.Advantages);
        return tokens.Rows.Means(below.logical_or(above).to(ratios.dtype));
    }

    /// <summary>log p of a batch's targets at a temperature.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="temperature">What logits are divided by.</param>
    internal static TokenValues Values(LanguageModel model, Batch batch, double temperature)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        var each = model.LogProbabilities(model.Hidden(batch).index_select(0, batch.Places), batch.Targets, temperature);
        return new TokenValues(each, RowLayout.Of(batch, each.device));
    }
}

/// <summary>RLOO's loss of whole answers as a loss of tokens: each token has its row's loss over the row's tokens.</summary>
/// <param name="Rows">The loss of rows.</param>
public sealed record WholeAnswers(LeaveOneOutLoss Rows) : PolicyLoss
{
    /// <inheritdoc/>
    public override RatioLevel Level => RatioLevel.Sequence;

    /// <inheritdoc/>
    public override Tensor Each(PolicyTokens tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        var layout = tokens.Rows;
        return layout.Spread(Rows.Each(tokens.Policy, tokens.Old, layout.Means(tokens.Advantages)));
    }
}
