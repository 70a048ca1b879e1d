using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// Texts behind the words of their labels (channel tuning: Min et al. 2022): Σ −log p(text | label), each divided by the text's tokens,
/// counted by item.
/// </summary>
/// <param name="losses">What each text costs [items], of a batch with their rows and labels.</param>
public sealed class AskedTexts(
    Func<LanguageModel, Batch, IReadOnlyList<(IReadOnlyList<TokenRow> Rows, int Label)>, Tensor> losses) : Objective
{
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
        var each = losses(model, batch, [.. items.Cast<LabelItem>().Select(item => (item.Rows, item.Label))]);
        return new Score(each.sum(), items.Count);
    }
}
