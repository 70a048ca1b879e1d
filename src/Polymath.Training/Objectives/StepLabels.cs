using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>An answer in steps, of which some are right.</summary>
/// <param name="Rows">The row.</param>
/// <param name="Steps">The places of the steps' last tokens in the row.</param>
/// <param name="Right">Whether each step is right.</param>
public sealed record StepItem(
    IReadOnlyList<TokenRow> Rows,
    IReadOnlyList<int> Steps,
    IReadOnlyList<bool> Right) : Item(Rows);

/// <summary>
/// Process rewards (Lightman et al. 2023): cross entropy of whether each step is right, at the step's last token; counted by step.
/// </summary>
public sealed class StepLabels : Objective
{
    /// <inheritdoc/>
    public override IReadOnlyList<string> Figures { get; } = ["accuracy", "right steps"];

    /// <inheritdoc/>
    public override double CountOf(Item item) => ((StepItem)item).Steps.Count;

    /// <inheritdoc/>
    public override Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step)
    {
        ArgumentNullException.ThrowIfNull(items);
        var answers = items.Cast<StepItem>().ToList();
        var scores = Scores(model, batch, [.. answers.Select(answer => answer.Steps)]);                          // [steps, 2]
        var right = tensor(answers.SelectMany(answer => answer.Right.Select(one => one ? 1L : 0L)).ToArray(), device: scores.device);
        var (loss, count) = model.Labels!.Loss(scores, right);
        return new Score(loss, count, new Dictionary<string, double>
        {
            ["accuracy"] = scores.argmax(-1).eq(right).sum().item<long>(),
            ["right steps"] = right.sum().item<long>(),
        });
    }

    /// <summary>The scores [steps, 2] of the steps of rows: wrong and right.</summary>
    /// <param name="model">The model, whose head labels tokens.</param>
    /// <param name="batch">The rows.</param>
    /// <param name="places">For each row, the places of its steps' last tokens.</param>
    public static Tensor Scores(LanguageModel model, Batch batch, IReadOnlyList<IReadOnlyList<int>> places)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(places);
        var virtualTokens = batch.Prompt?.Length ?? 0;
        var at = places.SelectMany((own, row) => own.Select(place => (long)(batch.Offsets[row] + virtualTokens + place))).ToArray();
        var hidden = model.Hidden(batch);
        return model.Labels!.ScoresOf(hidden.index_select(0, tensor(at, device: hidden.device)));
    }
}
