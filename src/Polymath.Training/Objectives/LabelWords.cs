using Polymath.Models;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// Cross entropy over labels: Σ −log softmax(scores)[label], counted by row. A verbalizer reads the scores at the end of the prompt.
/// </summary>
/// <param name="verbalizer">The verbalizer.</param>
public sealed class LabelWords(Verbalizer verbalizer) : Objective
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
        var scores = Scores(model, batch).log_softmax(-1);
        var labels = tensor(items.Cast<LabelItem>().Select(item => (long)item.Label).ToArray(), device: scores.device);
        var right = scores.argmax(-1).eq(labels).sum().item<long>();
        return new Score(
            scores.gather(1, labels.unsqueeze(1)).sum().neg(), items.Count, new Dictionary<string, double> { ["accuracy"] = right });
    }

    /// <summary>The label scores [rows, labels] of a batch whose rows end at the answer's place.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The rows.</param>
    public Tensor Scores(LanguageModel model, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        // The model itself computes logits from states: the layers before the head, the head's bias and cap, and a delta on the head.
        return verbalizer.Scores(
            model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces().to(model.Device)), verbalizer.Tokens));
    }
}
