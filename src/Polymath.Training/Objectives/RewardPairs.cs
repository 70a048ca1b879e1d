using Polymath.Models;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>A chosen and a rejected answer for a reward model, and by how much the chosen one is better.</summary>
/// <param name="Rows">The chosen answer's row, then the rejected one's.</param>
/// <param name="Margin">The margin; 0 for none.</param>
public sealed record RewardItem(IReadOnlyList<Text.Packing.TokenRow> Rows, double Margin) : Item(Rows);

/// <summary>A reward model learns from pairs; counted by pair.</summary>
/// <param name="loss">The loss.</param>
public sealed class RewardPairs(BradleyTerry loss) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["accuracy", "margin", "chosen reward", "rejected reward", "calibration"];

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
        var scores = LabelScores.Scores(model, batch).squeeze(1);                               // [2 · pairs], chosen and rejected in turn
        var pairs = scores.view(-1, 2);
        var (chosen, rejected) = (pairs.select(1, 0), pairs.select(1, 1));
        var margins = items.Cast<RewardItem>().Select(item => (float)item.Margin).ToArray();
        var each = loss.Each(chosen, rejected, margins.All(margin => margin == 0) ? null : tensor(margins, device: scores.device));
        var sum = each.sum();
        using var frozen = no_grad();
        var gaps = chosen - rejected;
        // How far the model's own probability that it is right is from being right: near 0 for one that is calibrated.
        var sure = gaps.abs().sigmoid() - gaps.gt(0).to(gaps.dtype);
        return new Score(sum, items.Count, new Dictionary<string, double>
        {
            ["accuracy"] = gaps.gt(0).sum().item<long>(),
            ["margin"] = gaps.sum().item<float>(),
            ["chosen reward"] = chosen.sum().item<float>(),
            ["rejected reward"] = rejected.sum().item<float>(),
            ["calibration"] = sure.sum().item<float>(),
        });
    }
}
