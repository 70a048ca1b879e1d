using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// Cross entropy over labels: Σ −log softmax(scores)[label], counted by row. A verbalizer reads the scores where the prompt's answer
/// stands.
/// </summary>
/// <param name="verbalizer">The words.</param>
/// <param name="contentFree">Rows that say nothing, by which scores are calibrated; null for no calibration.</param>
public sealed class WordedLabels(WordVerbalizer verbalizer, IReadOnlyList<TokenRow>? contentFree = null) : Objective
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
        var scores = Scores(model, batch, [.. items.SelectMany(item => item.Rows)]).log_softmax(-1);
        var labels = tensor(items.Cast<LabelItem>().Select(item => (long)item.Label).ToArray(), device: scores.device);
        var right = scores.argmax(-1).eq(labels).sum().item<long>();
        return new Score(
            scores.gather(1, labels.unsqueeze(1)).sum().neg(), items.Count, new Dictionary<string, double> { ["accuracy"] = right });
    }

    /// <summary>The label scores [rows, labels] of a batch.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="rows">Its rows.</param>
    public Tensor Scores(LanguageModel model, Batch batch, IReadOnlyList<TokenRow> rows) => WordScores.Of(
        model,
        batch,
        rows,
        verbalizer,
        contentFree ?? []);
}
