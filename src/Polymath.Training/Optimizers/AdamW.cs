using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Training.Optimizers;

/// <summary>
/// AdamW (Loshchilov &amp; Hutter 2019, algorithm 2), each weight in one pass over memory. Weights of one dimension do not decay.
/// </summary>
public sealed class AdamW : IDisposable
{
    /// <summary>The file next to an adapter with its moments, so that its training can continue.</summary>
    public const string File = "optimizer.safetensors";

    private readonly List<(Weight Weight, Tensor First, Tensor Second)>[] moments;
    private readonly Tensor[] steps;

    /// <summary>An optimizer with moments at zero.</summary>
    /// <param name="weights">The weights to update.</param>
    /// <param name="spec">The settings.</param>
    public AdamW(IEnumerable<Weight> weights, OptimizerSpec spec)
        : this([new WeightGroup("", [.. weights], spec)])
    {
    }

    /// <summary>An optimizer of several groups, each with its own settings and steps.</summary>
    /// <param name="groups">The groups.</param>
    public AdamW(IReadOnlyList<WeightGroup> groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        Groups = groups;
        moments = [.. groups.Select(group => group.Weights.Select(weight => (weight, Zeros(weight), Zeros(weight))).ToList())];
        steps = [.. groups.Select(_ => zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope())];
    }

    private static Tensor Zeros(Weight weight) => zeros_like(weight.Value).detach().DetachFromDisposeScope();

    /// <summary>The groups.</summary>
    public IReadOnlyList<WeightGroup> Groups { get; }

    /// <summary>The number of steps of a group.</summary>
    /// <param name="group">The group.</param>
    public long StepsOf(int group) => steps[group].item<long>();

    /// <summary>The weights that are updated.</summary>
    public IEnumerable<Weight> Weights => Groups.SelectMany(group => group.Weights);

    /// <summary>The weights by their names in checkpoints.</summary>
    public IReadOnlyDictionary<string, Weight> Named =>
        Groups.SelectMany(group => group.Weights.Select(weight => (group.NameOf(weight), weight))).ToDictionary();

    /// <summary>The number of elements that are updated.</summary>
    public long Count => Weights.Sum(weight => weight.Count);

    /// <summary>A group's existing gradients; the caller frees them.</summary>
    /// <param name="group">The group.</param>
    public IReadOnlyList<Tensor> Gradients(int group = 0) => [.. moments[group].Select(entry => entry.Weight.Value.grad).OfType<Tensor>()];

    /// <summary>Updates the weights of a group and clears their gradients.</summary>
    /// <param name="rate">The learning rate of this step.</param>
    /// <param name="gradientScale">The factor that gradients are multiplied with first.</param>
    /// <param name="group">The group.</param>
    public void Step(double rate, double gradientScale, int group = 0)
    {
        using var frozen = no_grad();
        steps[group].add_(1);
        var (spec, done) = (Groups[group].Spec, StepsOf(group));
        foreach (var (weight, first, second) in moments[group])
        {
            using var gradient = weight.Value.grad;
            if (gradient is null) continue;
            using var dense = gradient.contiguous();
            var decay = weight.Value.dim() > 1 ? spec.WeightDecay : 0;
            AdamWStep.Apply(
                weight.Value,
                dense,
                first,
                second,
                new AdamWNumbers(
                    rate * (IsLoraB(weight) ? spec.LoraPlusRatio : 1),
                    spec.Beta1,
                    spec.Beta2,
                    spec.Epsilon,
                    decay,
                    done,
                    gradientScale));
            weight.ClearGradient();
        }
    }

    private static bool IsLoraB(Weight weight) =>
        weight.Name.Contains(".lora_B", StringComparison.Ordinal) || weight.Name.EndsWith(".lora_embedding_B", StringComparison.Ordinal);

    /// <summary>Clears a group's gradients without an update: no row of the step belongs to the group.</summary>
    /// <param name="group">The group.</param>
    public void Skip(int group)
    {
        foreach (var (weight, _, _) in moments[group]) weight.ClearGradient();
    }

    /// <summary>The moments and steps, by names that contain the weight's name.</summary>
    public IReadOnlyDictionary<string, Tensor> State() =>
        Enumerable.Range(0, Groups.Count).SelectMany(group => StateOf(group, Groups[group].NameOf, Groups[group].Name)).ToDictionary();

    private IEnumerable<(string Name, Tensor Value)> StateOf(int group, Func<Weight, string> nameOf, string name)
    {
        foreach (var (weight, first, second) in moments[group])
        {
            yield return ("first." + nameOf(weight), first);
            yield return ("second." + nameOf(weight), second);
        }
        yield return (name.Length == 0 ? "steps" : "steps." + name, steps[group]);
    }

    /// <summary>Writes a group's moments next to its adapter, under the adapter's own names.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <param name="group">The group.</param>
    public void Save(string folder, int group) =>
        SafetensorsWriter.Write(Path.Combine(folder, File), StateOf(group, weight => weight.Name, "").ToDictionary());

    /// <summary>Loads the moments that are saved next to an adapter: ours, or those of PyTorch's optimizer.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <param name="group">The group.</param>
    /// <exception cref="InputException">They are missing, or belong to another adapter.</exception>
    public void Load(string folder, int group)
    {
        string path = Path.Combine(folder, File), peers = Path.Combine(folder, PeerMoments.File);
        var own = System.IO.File.Exists(path);
        if (!own && !System.IO.File.Exists(peers))
            throw new InputException($"{folder} has no {File} and no {PeerMoments.File}: the adapter was kept without its optimizer's "
                + $"state. {WithoutState}");
        if (own) LoadOwn(path, group);
        else steps[group].fill_(PeerMoments.Read(peers, moments[group], Groups[group].MadeOrder));
    }

    /// <summary>What to do when there is no suitable state.</summary>
    internal const string WithoutState = "Leave out optimizerState to start with moments of zero.";

    private void LoadOwn(string path, int group)
    {
        using var file = SafetensorsFile.Open(path);
        foreach (var (name, value) in StateOf(group, weight => weight.Name, ""))
        {
            if (!file.Entries.TryGetValue(name, out var entry) || !entry.Shape.SequenceEqual(value.shape))
                throw new InputException($"{path}: {name} is {(entry is null ? "missing" : "of another shape")}: the state is not this "
                    + $"adapter's. {WithoutState}");
            using var kept = file.Map(name);
            value.copy_(kept);
            if (!Sound(value, squares: !name.StartsWith("first.", StringComparison.Ordinal)))
                throw new InputException($"{path}: {name} holds numbers that cannot be moments. Restore the file. {WithoutState}");
        }
    }

    // Squares and steps are never below zero.
    internal static bool Sound(Tensor moments, bool squares)
    {
        using var scope = NewDisposeScope();
        return moments.isfinite().all().item<bool>() && !(squares && moments.lt(0).any().item<bool>());
    }

    /// <summary>Frees the moments.</summary>
    public void Dispose()
    {
        foreach (var (_, first, second) in moments.SelectMany(group => group))
        {
            first.Dispose();
            second.Dispose();
        }
        foreach (var count in steps) count.Dispose();
    }
}
