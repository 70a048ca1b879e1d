using Polymath.Models;

namespace Polymath.Training.Objectives;

/// <summary>
/// Cross entropy of the next token: Σ −log p(target) over the rows' targets, counted by token. Pretraining learns every token,
/// finetuning the tokens of the answers, and a masked model the masked words, each at its own place. Where the model's configuration
/// asks for it, the balancing loss of its experts is added.
/// </summary>
/// <param name="experts">Whether the model has experts, of which the figures tell how they are used.</param>
public sealed class NextToken(bool experts = false) : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = experts ? [Busiest, Idle] : [];

    private const string Busiest = "busiest expert", Idle = "idle experts";

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        var loss = TrainingLoss.Of(model, batch);
        var count = batch.TargetCount;
        return new Score(loss, count, experts
            ? new Dictionary<string, double> { [Busiest] = model.Routers.Busiest * count, [Idle] = model.Routers.Idle * count }
            : null);
    }

    /// <inheritdoc/>
    public override double CountOf(Item item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return item.Rows.Sum(row => row.Hidden is null ? row.Learn.Skip(1).Sum(weight => (double)weight) : row.Targets);
    }
}
