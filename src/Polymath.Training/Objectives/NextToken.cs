using Polymath.Models;

namespace Polymath.Training.Objectives;

/// <summary>
/// Cross entropy of the next token: Σ −log p(target) over the rows' targets, counted by token. Pretraining learns every token,
/// finetuning the tokens of the answers.
/// </summary>
public sealed class NextToken : Objective
{
    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        return new Score(model.NegativeLogLikelihood(batch), batch.TargetCount);
    }

    /// <inheritdoc/>
    public override double CountOf(Item item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return item.Rows.Sum(row => row.Learn.Skip(1).Sum(weight => (double)weight));
    }
}
