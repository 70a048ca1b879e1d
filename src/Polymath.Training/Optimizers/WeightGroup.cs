using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Objectives;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>Weights with the same optimizer settings: all that a stage trains, or those of one of its adapters.</summary>
/// <param name="Name">The adapter's name; empty when there is only one group.</param>
/// <param name="Weights">The weights.</param>
/// <param name="Spec">The optimizer's settings.</param>
/// <param name="Data">The sources of the rows they learn from; null for every row.</param>
/// <param name="Penalty">A regularization term that is added to their mean loss; null for none.</param>
/// <param name="Stepped">Called after each update, with the gradients of the step; null for none.</param>
public sealed record WeightGroup(
    string Name,
    IReadOnlyList<Weight> Weights,
    OptimizerSpec Spec,
    IReadOnlyCollection<string>? Data = null,
    Func<Tensor?>? Penalty = null,
    Action<int, IReadOnlyDictionary<Weight, Tensor>>? Stepped = null)
{
    /// <summary>
    /// The maps of a block in the order in which transformers makes them, where that is not the order of use; a state of PyTorch's
    /// optimizer numbers them so.
    /// </summary>
    public IReadOnlyList<string> MadeOrder { get; init; } = [];

    /// <summary>Which of them are hidden matrices, the ones that Muon moves; every matrix where nothing else is said.</summary>
    public Func<Weight, bool> IsHiddenMatrix { get; init; } = HiddenMatrices.IsMatrix;

    /// <summary>Whether they learn from an item.</summary>
    /// <param name="item">The item.</param>
    public bool LearnsFrom(Item item)
    {
        ArgumentNullException.ThrowIfNull(item);
        return Data is null || (item.Rows[0].Data is { } source && Data.Contains(source));
    }

    /// <summary>A weight's name in checkpoints.</summary>
    /// <param name="weight">The weight.</param>
    public string NameOf(Weight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return Name.Length == 0 ? weight.Name : $"{Name}/{weight.Name}";
    }
}
