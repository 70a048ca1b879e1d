using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>All that moves in a stage: groups of weights, each with an optimizer, settings and steps of its own.</summary>
public sealed class OptimizerSet : IDisposable
{
    /// <summary>The file beside an adapter that holds its optimizer's state, so that its training can go on.</summary>
    public const string File = "optimizer.safetensors";

    /// <summary>What to do where there is no state that fits.</summary>
    internal const string WithoutState = "Leave optimizerState out, and the state starts at zero.";

    private readonly IReadOnlyList<Optimizer> optimizers;

    /// <summary>One group of weights.</summary>
    /// <param name="weights">The weights to move.</param>
    /// <param name="spec">The settings.</param>
    public OptimizerSet(IEnumerable<Weight> weights, OptimizerSpec spec)
        : this([new WeightGroup("", [.. weights], spec)])
    {
    }

    /// <summary>Several groups.</summary>
    /// <param name="groups">The groups.</param>
    public OptimizerSet(IReadOnlyList<WeightGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        Groups = groups;
        optimizers = [.. groups.Select(Optimizer.Of)];
    }

    /// <summary>The groups.</summary>
    public IReadOnlyList<WeightGroup> Groups { get; }

    /// <summary>The steps that a group has done.</summary>
    /// <param name="group">The group.</param>
    public long StepsOf(int group) => optimizers[group].Steps;

    /// <summary>The weights that are moved.</summary>
    public IEnumerable<Weight> Weights => Groups.SelectMany(group => group.Weights);

    /// <summary>The weights by their names in checkpoints.</summary>
    public IReadOnlyDictionary<string, Weight> Named =>
        Groups.SelectMany(group => group.Weights.Select(weight => (group.NameOf(weight), weight))).ToDictionary();

    /// <summary>The number of elements that are moved.</summary>
    public long Count => Weights.Sum(weight => weight.Count);

    /// <summary>The bytes of what is remembered between steps.</summary>
    public long StateBytes => optimizers.Sum(optimizer => optimizer.Bytes);

    /// <summary>A group's gradients that are there; the caller frees them.</summary>
    /// <param name="group">The group.</param>
    public IReadOnlyList<Tensor> Gradients(int group = 0) =>
        [.. Groups[group].Weights.Select(weight => weight.Value.grad).OfType<Tensor>()];

    /// <summary>Moves the weights of a group and forgets their gradients.</summary>
    /// <param name="rate">The learning rate of this step.</param>
    /// <param name="gradientScale">What gradients are multiplied with first.</param>
    /// <param name="group">The group.</param>
    public void Step(double rate, double gradientScale, int group = 0) => optimizers[group].Step(rate, gradientScale);

    /// <summary>Forgets a group's gradients and leaves its weights where they are: no row of the step was its own.</summary>
    /// <param name="group">The group.</param>
    public void Skip(int group) => optimizers[group].Skip();

    /// <summary>What is remembered between steps, by names that say whose it is.</summary>
    public IReadOnlyDictionary<string, Tensor> State() => optimizers
        .SelectMany(optimizer => optimizer.State(
            optimizer.Group.NameOf,
            optimizer.Group.Name.Length == 0 ? "steps" : "steps." + optimizer.Group.Name))
        .ToDictionary();

    private IEnumerable<(string Name, Tensor Value)> StateOf(int group) => optimizers[group].State(weight => weight.Name, "steps");

    /// <summary>Writes a group's state beside its adapter, under the adapter's own names.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <param name="group">The group.</param>
    public void Save(string folder, int group) => SafetensorsWriter.Write(Path.Combine(folder, File), StateOf(group).ToDictionary());

    /// <summary>Takes up the state that lies beside an adapter: ours, or that of PyTorch's AdamW.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <param name="group">The group.</param>
    /// <exception cref="InputException">It is not there, not this adapter's, or another optimizer's.</exception>
    public void Load(string folder, int group)
    {
        string path = Path.Combine(folder, File), peers = Path.Combine(folder, PeerMoments.File);
        var own = System.IO.File.Exists(path);
        if (!own && !System.IO.File.Exists(peers))
            throw new InputException($"{folder} has no {File} and no {PeerMoments.File}: the adapter was kept without its optimizer's "
                + $"state. {WithoutState}");
        if (own) LoadOwn(path, group);
        else optimizers[group].LoadPeers(peers);
    }

    private void LoadOwn(string path, int group)
    {
        using var file = SafetensorsFile.Open(path);
        foreach (var (name, value) in StateOf(group))
        {
            if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(value.shape))
                throw new InputException($"{path}: {name} is {(entry is null ? "missing" : "of another shape")}: the state is not this "
                    + $"adapter's, or another optimizer's. {WithoutState}");
            using var kept = file.Map(name);
            if (kept.dtype != value.dtype)
                throw new InputException($"{path}: {name} holds {kept.dtype} where this optimizer keeps {value.dtype}. {WithoutState}");
            value.copy_(kept);
            if (!Optimizer.Sound(name, value))
                throw new InputException($"{path}: {name} holds numbers that are no moments. Restore the file. {WithoutState}");
        }
    }

    /// <summary>Frees what is remembered.</summary>
    public void Dispose()
    {
        foreach (var optimizer in optimizers) optimizer.Dispose();
    }
}
