using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tuning;

namespace Polymath.Training.Stages;

/// <summary>Attaches the adapters of a stage as its recipe names them: fresh ones, folders, those of earlier stages.</summary>
/// <param name="model">The model, with its base already in the precision of the stage.</param>
/// <param name="method">The adapters.</param>
/// <param name="places">The places of adapters that were trained before.</param>
/// <param name="fresh">Attaches a fresh adapter with a name.</param>
internal sealed class GatheredAdapters(
    LanguageModel model,
    AdaptersMethod method,
    AdapterPlaces places,
    Func<string, DeltaSpec, DeltaSet> fresh)
{
    private readonly List<TrainedAdapter> adapters = [];

    /// <summary>Attaches all of them.</summary>
    /// <exception cref="InputException">One is missing, or they cannot be used together as asked; then nothing stays attached.</exception>
    internal TrainedAdapters Attach()
    {
        TrainedAdapters? together = null;
        try
        {
            if (method.Together == Together.Combine) adapters.Add(Combined());
            else
                foreach (var (name, spec) in method.Adapters) adapters.Add(One(name, spec));
            var gates = method.Together == Together.Mix ? places.Gates(method) : null;
            together = new TrainedAdapters(
                model,
                adapters,
                method.Together,
                method.Merge,
                gates);
            Check();
            if (method.Together != Together.Combine)
                foreach (var (name, spec) in method.Adapters) places.Keep(name, spec);
            return together;
        }
        catch
        {
            if (together is not null) together.Dispose();
            else
                foreach (var adapter in Enumerable.Reverse(adapters)) adapter.Set.Dispose();
            throw;
        }
    }

    private TrainedAdapter One(string name, AdapterSpec spec)
    {
        var kept = spec.Delta is null ? places.Found(name, spec) : null;
        var set = kept is null ? fresh(name, spec.Delta!) : DeltaSet.Load(model, kept);
        if (set.Course is not { Looks: true }) return new TrainedAdapter(name, set, spec) { Moments = spec.OptimizerState ? kept : null };
        set.Dispose();
        throw new InputException($"method.adapters.{name}: an adapter that reads data before its first step is trained in a stage of "
            + "its own first; name that stage here.");
    }

    // It is made once, when the stage begins, and trained as one adapter.
    private TrainedAdapter Combined()
    {
        var combine = method.Combine ?? new CombineSpec();
        return new TrainedAdapter("", DeltaSet.Load(model, places.Make("combined", inside =>
        {
            var sets = new List<(DeltaSet Set, double Weight)>();
            try
            {
                foreach (var (name, spec) in method.Adapters) sets.Add((DeltaSet.Load(model, places.Of(name, spec)), spec.Weight));
                using var result = Combination.Of(
                    sets,
                    combine.Kind,
                    combine.Density,
                    combine.R,
                    0,
                    out _);
                result.Save(inside, sets[0].Set.Configuration);
            }
            finally
            {
                foreach (var (set, _) in sets) set.Dispose();
            }
        })), new AdapterSpec());
    }

    private void Check()
    {
        if (adapters.Where(adapter => !adapter.Spec.Frozen).SelectMany(adapter => adapter.Set.Weights)
            .GroupBy(weight => weight).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new InputException($"method.adapters: two adapters train the model's own {twice.Key.Name}, and only one of them "
                + "can train it. Leave norms and biases to one of them, or freeze the other.");
        if (!method.Merge) return;
        if (adapters.Count > 1
            && adapters.Exists(adapter => adapter.Set.Plugged.Any(pair => pair.Delta is Tuning.Deltas.Lora { Magnitude: not null })))
            throw new InputException("method.merge: DoRA scales the rows of the whole map, which the other adapters change: the sum could "
                + "not be merged as it was trained. Leave out merge or use_dora.");
        if (adapters.Find(adapter => !adapter.Set.Merges) is { } stays)
            throw new InputException($"method.merge: an adapter of the kind {stays.Set.Configuration.Type} cannot be merged. Leave "
                + "merge out.");
    }
}
