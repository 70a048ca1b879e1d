using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>One thing to learn from: a row, or several that belong together (a chosen and a rejected answer).</summary>
/// <param name="Rows">The rows.</param>
/// <param name="Reference">For preferences, each row's log-probability under the reference policy.</param>
/// <param name="Label">For tasks, the label's number.</param>
public sealed record Item(IReadOnlyList<TokenRow> Rows, IReadOnlyList<float>? Reference = null, int Label = -1)
{
    /// <summary>The tokens of all rows.</summary>
    public int Tokens => Rows.Sum(row => row.Length);
}

/// <summary>The result of an objective for a batch.</summary>
/// <param name="Loss">The loss as a SUM over what it counts, a scalar with a gradient.</param>
/// <param name="Count">The number by which the sum is divided, once, over all batches and processes of a step.</param>
/// <param name="Metrics">Further sums over the same count, for the metrics.</param>
public sealed record Score(Tensor Loss, double Count, IReadOnlyDictionary<string, double>? Metrics = null);

/// <summary>What is learned: a formula over a model and a batch. It does not use files, processes, the console or the clock.</summary>
public abstract class Objective
{
    /// <summary>The loss of a batch.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The items' rows, packed end to end.</param>
    /// <param name="items">The items.</param>
    public abstract Score Evaluate(LanguageModel model, Batch batch, IReadOnlyList<Item> items);

    /// <summary>
    /// The names of the further figures that <see cref="Score.Metrics"/> holds, in the order in which processes sum them.
    /// </summary>
    public virtual IReadOnlyList<string> Figures => [];

    /// <summary>How much an item counts: its share of <see cref="Score.Count"/>.</summary>
    /// <param name="item">The item.</param>
    public virtual double CountOf(Item item) => 1;
}
