using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using static TorchSharp.torch;

namespace Polymath.Tuning;

/// <summary>
/// Several adapters on one model, each applied to its own rows of a batch: the frozen base runs once for all rows, in training and in
/// generation. A row may use one adapter, several (their changes add up), or none. The adapters are chosen row by row
/// (<see cref="Assign"/>), or by the source of a row.
/// </summary>
public sealed class RowRouting : RowRouter, IDisposable
{
    private readonly LanguageModel model;
    private readonly IReadOnlyList<DeltaSet> sets;
    private readonly IReadOnlyList<IReadOnlyCollection<string>>? sources;
    private IReadOnlyList<IReadOnlyCollection<int>>? rows;

    /// <summary>Routes rows among adapters that are attached to a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sets">The adapters, counted from 0.</param>
    /// <param name="sources">For each adapter the names of the sources whose rows it applies to; rows of other sources use none. Null when
    /// rows are assigned.</param>
    /// <exception cref="InputException">An adapter changes more than its own rows' states in linear maps, or a model reads two
    /// streams.</exception>
    public RowRouting(LanguageModel model, IReadOnlyList<DeltaSet> sets, IReadOnlyList<IReadOnlyCollection<string>>? sources = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sets);
        if (model.Reading == Reading.EncoderDecoder)
            throw new InputException("An encoder-decoder reads two streams; rows are routed in models that read one.");
        if (model.Router is not null) throw new InputException("The model's rows are routed already; dispose of that first.");
        foreach (var set in sets)
        {
            if (set.Model != model) throw new InputException("An adapter is attached to another model.");
            if (set.ChangesMore)
                throw new InputException($"{set.Configuration.Origin}: a {set.Configuration.Type} changes token vectors, rows or the "
                    + "model's own weights, which all rows share. Rows are routed among deltas of linear maps.");
            if (set.Plugged.Any(pair => pair.Target.Stack is not null
                || pair.Target.Role is Role.Head or Role.Router || pair.Target == model.Tokens.HeadMap))
                throw new InputException($"{set.Configuration.Origin}: experts and heads see only some of a batch's tokens, and cannot "
                    + "know their rows. Target attention and dense feed-forward maps.");
        }
        (this.model, this.sets, this.sources) = (model, sets, sources);
        model.Router = this;
    }

    /// <summary>Sets the adapters of each row of the next batches. In generation, a row is the one that its answer belongs to.</summary>
    /// <param name="adapters">The numbers of the adapters of each row; none for the base.</param>
    public void Assign(IReadOnlyList<IReadOnlyCollection<int>> adapters)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        foreach (var number in adapters.SelectMany(row => row))
            if (number < 0 || number >= sets.Count)
                throw new ArgumentOutOfRangeException(nameof(adapters), number, $"There are {sets.Count} adapters, counted from 0.");
        rows = adapters;
    }

    /// <inheritdoc/>
    public override void Expect(IReadOnlyList<string?> data)
    {
        ArgumentNullException.ThrowIfNull(data);
        rows = [.. data.Select(Of)];
    }

    private int[] Of(string? source) =>
        [.. Enumerable.Range(0, sets.Count).Where(number => source is not null && sources?[number].Contains(source) == true)];

    /// <inheritdoc/>
    public override void Enter(Batch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        // An answer that continues is identified by its slot, a row that is read by its source; without either, the base is used.
        var assigned = rows ?? (sources is null ? [] : null);
        if (sources is not null && batch.Slots is null)
            assigned = [.. Enumerable.Range(0, batch.Rows).Select(row => Of(batch.Data?[row]))];
        for (var number = 0; number < sets.Count; number++)
        {
            var places = new List<long>();
            for (var row = 0; row < batch.Rows; row++)
            {
                var owner = batch.Slots is { } slots ? RowOf(slots[row]) : row;
                if (assigned is not null && owner >= assigned.Count)
                    throw new InvalidOperationException($"The batch has a row {owner}, and adapters are assigned to "
                        + $"{assigned.Count} rows.");
                if (assigned?[owner].Contains(number) == true)
                    for (var token = batch.Offsets[row]; token < batch.Offsets[row + 1]; token++) places.Add(token);
            }
            sets[number].Places.Tokens?.Dispose();
            sets[number].Places.Tokens = places.Count == batch.Tokens ? null : tensor(places.ToArray()).DetachFromDisposeScope();
        }
    }

    /// <summary>Lets every adapter apply to all rows again.</summary>
    public void Dispose()
    {
        model.Router = null;
        foreach (var set in sets)
        {
            set.Places.Tokens?.Dispose();
            set.Places.Tokens = null;
        }
    }
}
