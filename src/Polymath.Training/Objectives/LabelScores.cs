using Polymath.Models;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>Cross entropy of a head over labels: Σ −log softmax(scores)[label], counted by row.</summary>
public sealed class LabelScores : Objective
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
        var scores = Scores(model, batch);                                                              // [rows, labels]
        var labels = tensor(items.Cast<LabelItem>().Select(item => (long)item.Label).ToArray(), device: scores.device);
        var right = scores.argmax(-1).eq(labels).sum().item<long>();
        var (loss, count) = model.Labels!.Loss(scores, labels);
        return new Score(loss, count, new Dictionary<string, double> { ["accuracy"] = right });
    }

    /// <summary>The label scores [rows, labels] of a batch.</summary>
    /// <param name="model">The model, whose head scores labels.</param>
    /// <param name="batch">The rows.</param>
    public static Tensor Scores(LanguageModel model, Batch batch)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        return model.Labels!.Scores(model.Hidden(batch), batch);
    }
}
