using Polymath.Models;
using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Training.Evaluation;
using Polymath.Training.Optimizers;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>One adapter of a stage.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Set">The adapter, attached.</param>
/// <param name="Spec">Its settings.</param>
internal sealed record TrainedAdapter(string Name, DeltaSet Set, AdapterSpec Spec)
{
    /// <summary>The folder of the optimizer's moments to load, or null.</summary>
    internal string? Moments { get; init; }
}

/// <summary>The adapters that a stage trains, and how they are used together.</summary>
internal sealed class TrainedAdapters : IDisposable
{
    private readonly LanguageModel model;
    private readonly IReadOnlyList<TrainedAdapter> adapters;
    private readonly Together together;
    private readonly bool merge;
    private RowRouting? routing;
    private AdapterMixture? mixture;

    // The folder of the gates' moments to load, or null.
    private string? gateMoments;

    /// <summary>Takes over adapters that are attached to a model; all that are not frozen are trained.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapters">The adapters, in the order they were attached; freed with this.</param>
    /// <param name="together">How they are used together.</param>
    /// <param name="merge">Whether they are merged into the model at the end.</param>
    /// <param name="gates">The folder of the mixture whose training continues; null for fresh gates.</param>
    internal TrainedAdapters(
        LanguageModel model,
        IReadOnlyList<TrainedAdapter> adapters,
        Together together,
        bool merge,
        string? gates = null)
    {
        (this.model, this.adapters, this.together, this.merge) = (model, adapters, together, merge);
        var sets = adapters.Select(adapter => adapter.Set).ToList();
        if (merge) sets.ForEach(set => set.CheckMerge());
        if (together == Together.Route) routing = new RowRouting(model, sets, [.. adapters.Select(adapter => adapter.Spec.Data ?? [])]);
        if (together == Together.Mix)
        {
            mixture = gates is null ? AdapterMixture.Fresh(model, sets) : AdapterMixture.Load(model, sets, gates);
            if (adapters.Any(adapter => adapter.Spec.OptimizerState)) gateMoments = gates;
        }
        foreach (var weight in Moving.SelectMany(adapter => adapter.Set.Weights).Concat(mixture?.Weights ?? [])) weight.Trainable = true;
    }

    /// <summary>One adapter of any kind.</summary>
    internal static TrainedAdapters Single(LanguageModel model, DeltaSet set, bool merge) =>
        new(model, [new TrainedAdapter("", set, new AdapterSpec())], Together.Stack, merge);

    /// <summary>The adapter, when there is exactly one.</summary>
    internal DeltaSet? Only => adapters.Count == 1 ? adapters[0].Set : null;

    private IEnumerable<TrainedAdapter> Moving => adapters.Where(adapter => !adapter.Spec.Frozen);

    /// <summary>What each adapter trains, and from what; the gates of a mixture last.</summary>
    internal IReadOnlyList<WeightGroup> Groups(OptimizerSpec usual)
    {
        var hidden = HiddenMatrices.Of(model);
        WeightGroup Group(TrainedAdapter adapter) => new(
            adapters.Count == 1 ? "" : adapter.Name,
            [.. adapter.Set.Weights],
            adapter.Spec.Optimizer ?? usual,
            routing is null ? null : adapter.Spec.Data,
            adapter.Set.Penalty,
            adapter.Set.Course is { Follows: true } course ? course.Stepped : null)
        {
            MadeOrder = adapter.Set.Model.MadeOrder,
            IsHiddenMatrix = hidden,
        };
        // Gates choose, as heads do: they are no maps between hidden states.
        WeightGroup[] gates = mixture is null ? [] : [new("mixture", mixture.Weights, usual) { IsHiddenMatrix = _ => false }];
        return [.. Moving.Select(Group), .. gates];
    }

    /// <summary>Takes up the moments that adapters go on with.</summary>
    internal void TakeUp(OptimizerSet optimizer)
    {
        foreach (var (adapter, group) in Moving.Select((adapter, group) => (adapter, group)))
            if (adapter.Moments is { } folder) optimizer.Load(folder, group);
        if (gateMoments is not null) optimizer.Load(gateMoments, Moving.Count());
    }

    internal bool Training
    {
        get => adapters.Any(adapter => adapter.Set.Training);
        set
        {
            foreach (var adapter in Moving) adapter.Set.Training = value;
        }
    }

    internal void Begin(int steps)
    {
        foreach (var adapter in Moving) adapter.Set.Course?.Begin(steps);
    }

    /// <summary>The methods' state between steps.</summary>
    internal IReadOnlyDictionary<string, Tensor> Memory() =>
        Moving.SelectMany(adapter => (adapter.Set.Course?.Memory ?? new Dictionary<string, Tensor>())
            .Select(pair => ((adapter.Name.Length == 0 ? "" : adapter.Name + "/") + pair.Key, pair.Value))).ToDictionary();

    internal bool Unmerged => !merge;

    /// <summary>
    /// Writes the adapters: one into the folder, several each into a folder of its own, together with the moments for further training.
    /// </summary>
    internal void Save(string folder, OptimizerSet? optimizer, Action<string>? beside)
    {
        var group = 0;
        foreach (var adapter in adapters)
        {
            var place = adapters.Count == 1 ? folder : Directory.CreateDirectory(Path.Combine(folder, adapter.Name)).FullName;
            adapter.Set.Save(place);
            if (!adapter.Spec.Frozen) optimizer?.Save(place, group++);
            beside?.Invoke(place);
        }
        if (adapters.Count == 1) return;
        AttachedAdapters.WriteIndex(folder, together, adapters.Select(adapter => adapter.Name));
        if (mixture is null) return;
        mixture.Save(folder);
        optimizer?.Save(folder, group);
    }

    /// <summary>Merges the adapters into the model, if that was asked.</summary>
    internal GateReport? Merge(string folder, IReadOnlyList<int[]>? held, double limit)
    {
        if (!merge) return null;
        var gate = held is null ? null : MergeGate.Open(model, held);
        // The adapter that was attached last wraps the others.
        foreach (var adapter in adapters) adapter.Set.Merge();
        return gate?.Settle(model, folder, limit);
    }

    /// <summary>
    /// Removes the adapters until the result is disposed, the last first, because it saved the model's weights as the earlier adapters had
    /// changed them.
    /// </summary>
    internal IDisposable Off() => new All([.. Enumerable.Reverse(adapters).Select(adapter => adapter.Set.Off())]);

    public void Dispose()
    {
        routing?.Dispose();
        mixture?.Dispose();
        foreach (var adapter in Enumerable.Reverse(adapters)) adapter.Set.Dispose();
        (routing, mixture) = (null, null);
    }

    private sealed class All(IReadOnlyList<IDisposable> inner) : IDisposable
    {
        public void Dispose()
        {
            foreach (var one in inner.Reverse()) one.Dispose();
        }
    }
}
