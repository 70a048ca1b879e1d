using Polymath.Models;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// How the weights of one group move along their gradients. What it remembers between steps is a list of named tensors, so that a training
/// that was stopped goes on bit for bit.
/// </summary>
public abstract class Optimizer : IDisposable
{
    // What is a mean of squares, a scale or a code is never below zero.
    private static readonly string[] signed = [FirstMoment, Average, Momentum, Velocity];

    /// <summary>The kinds of what is remembered, in front of a weight's name.</summary>
    protected const string FirstMoment = "first",
        SecondMoment = "second",
        Average = "average",
        Momentum = "momentum",
        Velocity = "velocity";

    private readonly Tensor steps = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();

    /// <summary>An optimizer that has done no step.</summary>
    /// <param name="group">The weights.</param>
    protected Optimizer(WeightGroup group)
    {
        ArgumentNullException.ThrowIfNull(group);
        Group = group;
    }

    /// <summary>The optimizer that a group's settings ask for.</summary>
    /// <param name="group">The weights and their settings.</param>
    public static Optimizer Of(WeightGroup group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return group.Spec switch
        {
            Adamw8bitSpec spec => new AdamW8Bit(group, spec),
            AdamwSpec spec => new AdamW(group, spec),
            AdafactorSpec spec => new Adafactor(group, spec),
            LionSpec spec => new Lion(group, spec),
            MuonSpec spec => new Muon(group, spec),
            SgdSpec spec => new Sgd(group, spec),
            _ => throw new InvalidOperationException($"There is no optimizer for {group.Spec.GetType().Name}."),
        };
    }

    /// <summary>The weights that are moved.</summary>
    public WeightGroup Group { get; }

    /// <summary>The steps that were done.</summary>
    public long Steps => steps.item<long>();

    /// <summary>Moves the weights that have a gradient, and forgets the gradients.</summary>
    /// <param name="rate">The learning rate of this step.</param>
    /// <param name="gradientScale">What gradients are multiplied with first.</param>
    public void Step(double rate, double gradientScale)
    {
        using var frozen = no_grad();
        steps.add_(1);
        var move = new Move(rate, gradientScale, Steps);
        for (var i = 0; i < Group.Weights.Count; i++)
        {
            var weight = Group.Weights[i];
            using var gradient = weight.Value.grad;
            if (gradient is null) continue;
            using var dense = gradient.contiguous();
            Apply(i, weight, dense, move);
            weight.ClearGradient();
        }
    }

    /// <summary>Forgets the gradients and leaves the weights where they are.</summary>
    public void Skip()
    {
        foreach (var weight in Group.Weights) weight.ClearGradient();
    }

    /// <summary>Moves one weight.</summary>
    /// <param name="place">Its place in the group.</param>
    /// <param name="weight">The weight; its tensor is changed in place.</param>
    /// <param name="gradient">Its gradient, of the same shape, dense, not scaled yet.</param>
    /// <param name="move">The numbers of the step.</param>
    protected abstract void Apply(int place, Weight weight, Tensor gradient, Move move);

    /// <summary>What is remembered of one weight, by its kind; the tensors are the optimizer's own.</summary>
    /// <param name="place">Its place in the group.</param>
    protected abstract IEnumerable<(string Kind, Tensor Value)> Memory(int place);

    /// <summary>What is remembered: a tensor a weight and kind, and the number of steps.</summary>
    /// <param name="nameOf">A weight's name.</param>
    /// <param name="stepsName">The name of the number of steps.</param>
    public IEnumerable<(string Name, Tensor Value)> State(Func<Weight, string> nameOf, string stepsName)
    {
        ArgumentNullException.ThrowIfNull(nameOf);
        return Group.Weights
            .SelectMany((weight, place) => Memory(place).Select(part => ($"{part.Kind}.{nameOf(weight)}", part.Value)))
            .Append((stepsName, steps));
    }

    /// <summary>The bytes that are remembered.</summary>
    public long Bytes => State(weight => weight.Name, "steps").Sum(part => part.Value.numel() * part.Value.element_size());


    /// <summary>Takes up PyTorch's file of Adam's moments; see <see cref="PeerMoments"/>.</summary>
    /// <param name="path">The file.</param>
    internal virtual void LoadPeers(string path) =>
        throw new InputException($"{path} is the state of PyTorch's Adam or AdamW, and the adapter moves by another optimizer. "
            + OptimizerSet.WithoutState);

    /// <summary>Says that so many steps were done.</summary>
    protected void Done(long count) => steps.fill_(count);

    /// <summary>
    /// Whether a remembered tensor can be what its name says: finite, and not below zero where it is no mean of gradients.
    /// </summary>
    internal static bool Sound(string name, Tensor value)
    {
        using var scope = NewDisposeScope();
        var mayBeNegative = signed.Any(kind => name.StartsWith(kind + ".", StringComparison.Ordinal));
        return value.isfinite().all().item<bool>() && (mayBeNegative || !value.lt(0).any().item<bool>());
    }

    /// <summary>Zeros for every number of a weight, which live until they are freed.</summary>
    protected static Tensor Zeros(Weight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return zeros_like(weight.Value).detach().DetachFromDisposeScope();
    }

    /// <summary>Zeros of a shape of their own, on a weight's device, which live until they are freed.</summary>
    protected static Tensor Zeros(Weight weight, ScalarType type, params long[] shape)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return zeros(shape, dtype: type, device: weight.Value.device).DetachFromDisposeScope();
    }

    /// <summary>Whether weight decay takes hold of a weight: norms and biases have one dimension and are spared.</summary>
    protected static bool Decays(Weight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.Value.dim() > 1;
    }

    /// <summary>Frees what is remembered.</summary>
    public void Dispose()
    {
        foreach (var (_, value) in State(weight => weight.Name, "steps")) value.Dispose();
        GC.SuppressFinalize(this);
    }
}

/// <summary>The numbers of one step.</summary>
/// <param name="Rate">The learning rate.</param>
/// <param name="GradientScale">What gradients are multiplied with first: 1/targets, and less where they are clipped.</param>
/// <param name="Step">The step, from 1.</param>
public readonly record struct Move(double Rate, double GradientScale, long Step);
