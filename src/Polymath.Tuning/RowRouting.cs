using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// Several adapters on one model, each applied to its own rows of a batch: the frozen base runs once for all rows, training and generating, one base with many faces. A row may take one
/// adapter, several, whose changes add up, or none.
/// </summary>
public sealed class RowRouting : IDisposable
{
    readonly LanguageModel model;
    readonly IReadOnlyList<DeltaSet> sets;
    IReadOnlyList<IReadOnlyCollection<int>> rows = [];

    /// <summary>Routes rows among adapters that are attached to a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sets">The adapters; they are counted from 0.</param>
    /// <exception cref="InputException">An adapter changes more than its own rows' states on their way through maps, or a model reads two streams.</exception>
    public RowRouting(LanguageModel model, IReadOnlyList<DeltaSet> sets)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sets);
        if (model.Reading == Reading.EncoderDecoder) throw new InputException("An encoder-decoder reads two streams; rows are routed in models that read one.");
        if (model.BatchEntered is not null) throw new InputException("The model's rows are routed already; dispose of that first.");
        foreach (var set in sets)
        {
            if (set.Model != model) throw new InputException("An adapter is attached to another model.");
            if (set.ChangesMore) throw new InputException($"{set.Configuration.Origin}: a {set.Configuration.Type} changes token vectors, rows or the model's own weights, which all rows share. Rows are routed among deltas of linear maps.");
            if (set.Plugged.Any(pair => pair.Target.Stack is not null || pair.Target.Role is Role.Head or Role.Router || pair.Target == model.Tokens.HeadMap))
                throw new InputException($"{set.Configuration.Origin}: experts and heads see some of a batch's tokens only, and cannot tell whose. Target attention and dense feed-forward maps.");
        }
        (this.model, this.sets) = (model, sets);
        model.BatchEntered = Enter;
    }

    /// <summary>For each row of the batches to come the adapters that apply to it. While generating, a row is the one its answer belongs to.</summary>
    /// <param name="adapters">The numbers of the adapters of each row; none for the base.</param>
    public void Assign(IReadOnlyList<IReadOnlyCollection<int>> adapters)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        foreach (var number in adapters.SelectMany(row => row))
            if (number < 0 || number >= sets.Count) throw new ArgumentOutOfRangeException(nameof(adapters), number, $"There are {sets.Count} adapters, counted from 0.");
        rows = adapters;
    }

    void Enter(Batch batch)
    {
        for (var number = 0; number < sets.Count; number++)
        {
            var places = new List<long>();
            for (var row = 0; row < batch.Rows; row++)
            {
                var owner = batch.Slots?[row] ?? row;
                if (owner >= rows.Count) throw new InvalidOperationException($"The batch has a row {owner}, and adapters are assigned to {rows.Count} rows.");
                if (rows[owner].Contains(number))
                    for (var token = batch.Offsets[row]; token < batch.Offsets[row + 1]; token++) places.Add(token);
            }
            sets[number].Places.Tokens?.Dispose();
            sets[number].Places.Tokens = places.Count == batch.Tokens ? null : tensor(places.ToArray()).DetachFromDisposeScope();
        }
    }

    /// <summary>Lets every adapter apply to all rows again.</summary>
    public void Dispose()
    {
        model.BatchEntered = null;
        foreach (var set in sets)
        {
            set.Places.Tokens?.Dispose();
            set.Places.Tokens = null;
        }
    }
}
