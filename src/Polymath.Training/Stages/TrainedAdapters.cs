using Polymath.Models;
using Polymath.Recipes;
using Polymath.Training.Evaluation;
using Polymath.Training.Optimizers;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Training.Stages;

/// <summary>One adapter of a stage.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Set">The adapter, attached.</param>
/// <param name="Spec">What was asked of it.</param>
sealed record TrainedAdapter(string Name, DeltaSet Set, AdapterSpec Spec)
{
    /// <summary>Where the optimizer's moments lie that it goes on with, or null.</summary>
    internal string? Moments { get; init; }
}

/// <summary>The adapters that a stage trains, and how they come together.</summary>
sealed class TrainedAdapters : IDisposable
{
    readonly LanguageModel model;
    readonly List<TrainedAdapter> adapters = [];
    readonly Together together;
    readonly bool merge;
    RowRouting? routing;
    AdapterMixture? mixture;

    TrainedAdapters(LanguageModel model, Together together, bool merge) => (this.model, this.together, this.merge) = (model, together, merge);

    /// <summary>One adapter, whatever it is.</summary>
    internal static TrainedAdapters Single(LanguageModel model, DeltaSet set, bool merge)
    {
        var single = new TrainedAdapters(model, Together.Stack, merge);
        single.adapters.Add(new TrainedAdapter("", set, new AdapterSpec()));
        single.Wake();
        return single;
    }

    /// <summary>Several adapters as a recipe names them.</summary>
    /// <param name="model">The model, its base held as it will stay.</param>
    /// <param name="method">The adapters.</param>
    /// <param name="places">Where adapters lie that were trained before.</param>
    /// <param name="fresh">Attaches a fresh adapter of a name.</param>
    internal static TrainedAdapters Of(LanguageModel model, AdaptersMethod method, AdapterPlaces places, Func<string, DeltaSpec, DeltaSet> fresh)
    {
        var several = new TrainedAdapters(model, method.Together, method.Merge);
        try
        {
            if (method.Together == Together.Combine) several.adapters.Add(several.Combined(method, places));
            else
                foreach (var (name, spec) in method.Adapters)
                {
                    var kept = spec.Delta is null ? places.Found(name, spec) : null;
                    several.adapters.Add(new TrainedAdapter(name, kept is null ? fresh(name, spec.Delta!) : DeltaSet.Load(model, kept), spec) { Moments = spec.OptimizerState ? kept : null });
                    if (several.adapters[^1].Set.Course is { Looks: true })
                        throw new InputException($"method.adapters.{name}: an adapter that looks at data before its first step is trained in a stage of its own first; name that stage here.");
                }
            var sets = several.adapters.Select(adapter => adapter.Set).ToList();
            if (method.Together == Together.Route) several.routing = new RowRouting(model, sets, [.. several.adapters.Select(adapter => adapter.Spec.Data ?? [])]);
            if (method.Together == Together.Mix) several.mixture = AdapterMixture.Fresh(model, sets);
            if (several.Moving.SelectMany(adapter => adapter.Set.Weights).GroupBy(weight => weight).FirstOrDefault(group => group.Count() > 1) is { } twice)
                throw new InputException($"method.adapters: two adapters train the model's own {twice.Key.Name}, which can move one way only. Leave norms and biases to one of them, or freeze the other.");
            if (method.Merge && sets.Count > 1 && sets.Exists(set => set.Plugged.Any(pair => pair.Delta is Tuning.Deltas.Lora { Magnitude: not null })))
                throw new InputException("method.merge: DoRA scales the rows of the whole map, which others around it change: the sum could not be merged as it was trained. Leave merge out, or take use_dora off.");
            if (method.Merge && sets.Find(set => !set.Merges) is { } stays) throw new InputException($"method.merge: an adapter of the kind {stays.Configuration.Type} cannot be merged. Leave merge out.");
            if (method.Together != Together.Combine)
                foreach (var (name, spec) in method.Adapters) places.Keep(name, spec);
        }
        catch
        {
            several.Dispose();
            throw;
        }
        several.Wake();
        return several;
    }

    TrainedAdapter Combined(AdaptersMethod method, AdapterPlaces places)
    {
        var combine = method.Combine ?? new CombineSpec();
        return new TrainedAdapter("", DeltaSet.Load(model, places.Make("combined", inside =>
        {
            var sets = new List<(DeltaSet Set, double Weight)>();
            try
            {
                foreach (var (name, spec) in method.Adapters) sets.Add((DeltaSet.Load(model, places.Of(name, spec)), spec.Weight));
                // The combined factors are freed when they are written.
                using var scope = NewDisposeScope();
                Combination.Of(sets, combine.Kind, combine.Density, combine.R, 0, out _).Save(inside, sets[0].Set.Configuration);
            }
            finally
            {
                foreach (var (set, _) in sets) set.Dispose();
            }
        })), new AdapterSpec());
    }

    void Wake()
    {
        foreach (var weight in adapters.Where(adapter => !adapter.Spec.Frozen).SelectMany(adapter => adapter.Set.Weights).Concat(mixture?.Weights ?? [])) weight.Trainable = true;
    }

    /// <summary>The one adapter, where there is one.</summary>
    internal DeltaSet? Only => adapters.Count == 1 ? adapters[0].Set : null;

    IEnumerable<TrainedAdapter> Moving => adapters.Where(adapter => !adapter.Spec.Frozen);

    /// <summary>What each adapter trains, and from what; the gates of a mixture last.</summary>
    internal IReadOnlyList<WeightGroup> Groups(OptimizerSpec usual) =>
    [
        .. Moving.Select(adapter => new WeightGroup(
            adapters.Count == 1 ? "" : adapter.Name, [.. adapter.Set.Weights], adapter.Spec.Optimizer ?? usual, routing is null ? null : adapter.Spec.Data, adapter.Set.Penalty,
            adapter.Set.Course is { Follows: true } course ? course.Stepped : null)),
        .. mixture is null ? (WeightGroup[])[] : [new WeightGroup("mixture", mixture.Weights, usual)],
    ];

    /// <summary>Takes up the moments that adapters go on with.</summary>
    internal void TakeUp(AdamW optimizer)
    {
        foreach (var (adapter, group) in Moving.Select((adapter, group) => (adapter, group)))
            if (adapter.Moments is { } folder) optimizer.Load(folder, group);
    }

    internal bool Training
    {
        get => adapters.Exists(adapter => adapter.Set.Training);
        set
        {
            foreach (var adapter in Moving) adapter.Set.Training = value;
        }
    }

    internal void Begin(int steps)
    {
        foreach (var adapter in Moving) adapter.Set.Course?.Begin(steps);
    }

    /// <summary>What the methods remember between steps.</summary>
    internal IReadOnlyDictionary<string, Tensor> Memory() => Moving.SelectMany(adapter => (adapter.Set.Course?.Memory ?? new Dictionary<string, Tensor>())
        .Select(pair => ((adapter.Name.Length == 0 ? "" : adapter.Name + "/") + pair.Key, pair.Value))).ToDictionary();

    internal bool Unmerged => !merge;

    /// <summary>Writes the adapters: one into the folder, several each into a folder of its own, with what trains them further beside them.</summary>
    internal void Save(string folder, AdamW? optimizer, Action<string>? beside)
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
        mixture?.Save(folder);
    }

    /// <summary>Makes the adapters part of the model, where that was asked.</summary>
    internal GateReport? Merge(string folder, IReadOnlyList<int[]>? held, double limit)
    {
        if (!merge) return null;
        var gate = held is null ? null : MergeGate.Open(model, held);
        // What was attached last stands around the others.
        foreach (var adapter in adapters) adapter.Set.Merge();
        return gate?.Settle(model, folder, limit);
    }

    /// <summary>Sets the adapters aside until the result is disposed, the last first: it keeps what those before it made of the model's own weights.</summary>
    internal IDisposable Off() => new All([.. Enumerable.Reverse(adapters).Select(adapter => adapter.Set.Off())]);

    public void Dispose()
    {
        routing?.Dispose();
        mixture?.Dispose();
        foreach (var adapter in Enumerable.Reverse(adapters)) adapter.Set.Dispose();
        adapters.Clear();
    }

    sealed class All(IReadOnlyList<IDisposable> inner) : IDisposable
    {
        public void Dispose()
        {
            foreach (var one in inner.Reverse()) one.Dispose();
        }
    }
}
