using Polymath.Models;
using Polymath.Text.Packing;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Objectives;

/// <summary>A question of a chain with its right answer.</summary>
/// <param name="Rows">The rows that ask it; with the answer's tokens where it is written.</param>
/// <param name="Question">The number of the question.</param>
/// <param name="Label">The number of the right answer; 0 where it is written.</param>
public sealed record QuestionItem(IReadOnlyList<TokenRow> Rows, int Question, int Label) : Item(Rows);

/// <summary>
/// The answers to all questions of a chain, each asked with the right answers before it: Σ −log p(answer), counted by question.
/// </summary>
/// <param name="chain">The chain.</param>
public sealed class AskedQuestions(AskedChain chain) : Objective
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
        var (loss, right) = chain.Learned(
            model, batch, [.. items.Cast<QuestionItem>().Select(item => (item.Question, item.Label, item.Rows))]);
        return new Score(loss, items.Count, new Dictionary<string, double> { ["accuracy"] = right });
    }
}
