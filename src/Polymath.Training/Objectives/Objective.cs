using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Training.Objectives;

/// <summary>One thing to learn from: a row, or several that belong together.</summary>
/// <param name="Rows">The rows.</param>
public record Item(IReadOnlyList<TokenRow> Rows)
{
    /// <summary>The tokens of all rows.</summary>
    public int Tokens => Rows.Sum(row => row.Length);

    /// <summary>The places whose value a critic estimates; 0 where there is none.</summary>
    public virtual double Places => 0;
}

/// <summary>A row with a label.</summary>
/// <param name="Rows">The row.</param>
/// <param name="Label">The label's number.</param>
public sealed record LabelItem(IReadOnlyList<TokenRow> Rows, int Label) : Item(Rows);

/// <summary>A chosen and a rejected answer to one prompt.</summary>
/// <param name="Rows">The chosen row and the rejected one.</param>
/// <param name="Reference">Each answer's log-probability under the reference policy; empty where there is none.</param>
public sealed record PairItem(IReadOnlyList<TokenRow> Rows, IReadOnlyList<float> Reference) : Item(Rows);

/// <summary>An answer that is good or bad.</summary>
/// <param name="Rows">The row.</param>
/// <param name="Good">Whether it is good.</param>
/// <param name="Mismatched">The prompt with another row's answer.</param>
/// <param name="Reference">The answer's log-probability under the reference policy, then that of the mismatched row's.</param>
public sealed record JudgedItem(
    IReadOnlyList<TokenRow> Rows,
    bool Good,
    TokenRow Mismatched,
    IReadOnlyList<float> Reference) : Item(Rows);

/// <summary>An answer that was sampled, with its advantage.</summary>
/// <param name="Rows">The row.</param>
/// <param name="Old">log π of each of its tokens under the policy that sampled it.</param>
/// <param name="Advantage">How much better it was than the other answers to its prompt.</param>
public sealed record AnswerItem(IReadOnlyList<TokenRow> Rows, IReadOnlyList<float> Old, double Advantage) : Item(Rows)
{
    /// <summary>An advantage for each token in place of one for the answer; null for none.</summary>
    public IReadOnlyList<float>? Advantages { get; init; }

    /// <summary>log π of each token under the policy at the start of the stage; null where it is not compared with.</summary>
    public IReadOnlyList<float>? Reference { get; init; }
}

/// <summary>An answer that was sampled, with what a critic and its rewards say of each place (PPO).</summary>
/// <param name="Rows">The row.</param>
/// <param name="Old">log π of each of its tokens under the policy that sampled it.</param>
/// <param name="Advantages">The advantage of each token.</param>
/// <param name="Returns">The return at each place: before each token, and behind the last one of an answer that ended.</param>
/// <param name="Values">The critic's value at each place when the answer was sampled.</param>
public sealed record TrajectoryItem(
    IReadOnlyList<TokenRow> Rows,
    IReadOnlyList<float> Old,
    IReadOnlyList<float> Advantages,
    IReadOnlyList<float> Returns,
    IReadOnlyList<float> Values) : Item(Rows)
{
    /// <inheritdoc/>
    public override double Places => Returns.Count;
}

/// <summary>The answers to one prompt with their rewards, which are learned from together.</summary>
/// <param name="Rows">The answers' rows.</param>
/// <param name="Rewards">Their rewards.</param>
public sealed record GroupItem(IReadOnlyList<TokenRow> Rows, IReadOnlyList<double> Rewards) : Item(Rows);

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
    /// <param name="step">What the whole step counts, of which the batch is a part.</param>
    public abstract Score Evaluate(
        LanguageModel model,
        Batch batch,
        IReadOnlyList<Item> items,
        StepCounts step);

    /// <summary>
    /// What the step's passes need of all its items, before the first pass and without gradients: a loss that ranks the pairs of a step.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="parts">The items of each pass.</param>
    public virtual void Begin(LanguageModel model, IReadOnlyList<IReadOnlyList<Item>> parts)
    {
    }

    /// <summary>What a step counts: its items, and the targets of their first rows.</summary>
    /// <param name="items">The items.</param>
    public static StepCounts CountsOf(IReadOnlyList<Item> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        return new StepCounts(items.Count, items.Sum(item => (double)item.Rows[0].Targets), items.Sum(item => item.Places));
    }

    /// <summary>What it remembers between steps, by name, so that a stopped run goes on; empty for nothing.</summary>
    public virtual IReadOnlyDictionary<string, double> Memory
    {
        get => new Dictionary<string, double>();
        set { }
    }

    /// <summary>
    /// The names of the further figures that <see cref="Score.Metrics"/> holds, in the order in which processes sum them.
    /// </summary>
    public virtual IReadOnlyList<string> Figures => [];

    /// <summary>
    /// Whether rows of a batch may share the beginning that they have in common: the formula finds states by the batch's places only.
    /// </summary>
    public virtual bool SharesBeginnings => false;

    /// <summary>How much an item counts: its share of <see cref="Score.Count"/>.</summary>
    /// <param name="item">The item.</param>
    public virtual double CountOf(Item item) => 1;
}
