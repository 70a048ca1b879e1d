using Polymath.Models;
using Polymath.Training.Objectives.Distillation;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>
/// The divergence from a teacher's distribution at each learned token, as a mean over the step's tokens. The likelihood of the tokens
/// themselves may be learned beside it.
/// </summary>
/// <param name="teacher">The teacher; it reads the same rows and has the same vocabulary.</param>
/// <param name="loss">The divergence.</param>
/// <param name="answerWeight">The weight of the tokens' own likelihood.</param>
public sealed class Taught(LanguageModel teacher, DistillationLoss loss, double answerWeight = 0) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["divergence", "agreement"];

    /// <inheritdoc/>
    public override double CountOf(Item item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return item.Rows.Sum(row => (double)row.Targets);
    }

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
        var student = model.Unembed(model.Hidden(batch).index_select(0, batch.Places));
        var taught = Logits([.. items.SelectMany(item => item.Rows)]);
        var divergence = loss.Each(student, taught).sum();
        var sum = answerWeight == 0
            ? divergence
            : divergence - TokenLogits.LogProbabilities(student, batch.Targets).sum() * answerWeight;
        return new Score(sum, batch.Targets.shape[0], new Dictionary<string, double>
        {
            ["divergence"] = divergence.item<float>(),
            ["agreement"] = student.argmax(-1).eq(taught.argmax(-1)).sum().item<long>(),
        });
    }

    private Tensor Logits(IReadOnlyList<Text.Packing.TokenRow> rows)
    {
        using var frozen = no_grad();
        using var read = teacher.Lay(rows);
        return teacher.Unembed(teacher.Hidden(read).index_select(0, read.Places));
    }
}
