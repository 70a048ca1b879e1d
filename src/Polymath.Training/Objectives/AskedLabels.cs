using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>Cross entropy over the labels of a task that prompts ask for: Σ −log p(label), counted by item.</summary>
/// <param name="scores">The log-probabilities of the labels [items, labels] of a batch with its rows.</param>
public sealed class AskedLabels(Func<LanguageModel, Batch, IReadOnlyList<TokenRow>, Tensor> scores) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["accuracy"];

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(items);
        var said = scores(model, batch, [.. items.SelectMany(item => item.Rows)]);
        var labels = tensor(items.Cast<LabelItem>().Select(item => (long)item.Label).ToArray(), device: said.device);
        var right = said.argmax(-1).eq(labels).sum().item<long>();
        return new Score(
            said.gather(1, labels.unsqueeze(1)).sum().neg(), items.Count, new Dictionary<string, double> { ["accuracy"] = right });
    }
}
