using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>A chosen and a rejected answer, and the one that should have been given.</summary>
/// <param name="Rows">The three rows, in this order.</param>
public sealed record GoldItem(IReadOnlyList<TokenRow> Rows) : Item(Rows)
{
    /// <summary>The tokens of the third answer.</summary>
    public override double Places => Rows[2].Targets;
}

/// <summary>
/// Triple preference optimization (Saeidi et al. 2024): a loss of pairs without a reference, as a mean over the step's pairs, and the
/// negative log-likelihood of the third answers, as a mean over their tokens in the step.
/// </summary>
/// <param name="loss">The loss of pairs.</param>
/// <param name="beta">What margins are multiplied by in the figures.</param>
/// <param name="alpha">The weight of the third answers.</param>
public sealed class GoldPairs(PreferenceLoss loss, double beta, double alpha) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["margin", "accuracy", "gold loss"];

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
        var values = TokenValues.LogProbabilities(model, batch);
        var answers = AnswerScores.Of(values);
        Tensor Every(int place) =>
            tensor([.. Enumerable.Range(0, items.Count).Select(item => (3L * item) + place)], device: values.Each.device);
        var pairs = new PairScores(answers.Take(Every(0)), answers.Take(Every(1)));
        var likelihood = answers.Policy.index_select(0, Every(2)).sum().neg() / step.Places;
        // Each formula divides by what it counts; the loop divides by the step's pairs.
        var sum = (loss.Sum(pairs, step) + likelihood * alpha) * step.Rows;
        var margins = (pairs.ChosenRatios - pairs.RejectedRatios).detach();
        return new Score(sum, items.Count, new Dictionary<string, double>
        {
            ["margin"] = beta * margins.sum().item<float>(),
            ["accuracy"] = margins.gt(0).sum().item<long>(),
            ["gold loss"] = likelihood.item<float>() * step.Rows,
        });
    }
}
