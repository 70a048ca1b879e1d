using Polymath.Models;
using Polymath.Recipes;

namespace Polymath.Tuning;

/// <summary>
/// Adapters of one model by name, each for the rows that ask for it. The base runs once for all rows of a batch, and the choice of adapters
/// may change between two batches without rebuilding anything.
/// </summary>
public sealed class NamedAdapters : IDisposable
{
    private readonly List<DeltaSet> sets = [];
    private readonly List<string> names = [];
    private RowRouting? routing;

    private NamedAdapters()
    {
    }

    /// <summary>The names, in order.</summary>
    public IReadOnlyList<string> Names => names;

    /// <summary>Attaches adapters to a model. Before each batch, the adapters of its rows are chosen.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapters">Their names and folders.</param>
    /// <param name="anyBase">Whether they may be attached to another model than the one they were trained on.</param>
    /// <exception cref="InputException">A file is missing or damaged, a name occurs twice, or an adapter changes weights that all rows
    /// share.</exception>
    public static NamedAdapters Load(LanguageModel model, IEnumerable<(string Name, string Folder)> adapters, bool anyBase = false)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        var named = new NamedAdapters();
        try
        {
            foreach (var (name, folder) in adapters)
            {
                if (named.names.Contains(name)) throw new InputException($"Two adapters are called '{name}'. Give each a name of its own.");
                named.names.Add(name);
                named.sets.Add(DeltaSet.Load(model, folder, anyBase));
            }
            named.routing = new RowRouting(model, named.sets);
            return named;
        }
        catch
        {
            named.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Chooses the adapters of the next rows. The changes of several adapters add up; a row without adapters uses the base.
    /// </summary>
    /// <param name="rows">For each row the names of its adapters.</param>
    /// <exception cref="InputException">No adapter has such a name.</exception>
    public void Choose(IReadOnlyList<IReadOnlyCollection<string>> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        routing!.Assign([.. rows.Select(row => (IReadOnlyCollection<int>)[.. row.Select(NumberOf).Distinct()])]);
    }

    private int NumberOf(string name) => names.IndexOf(name) is >= 0 and var number ? number
        : throw new InputException($"There is no adapter '{name}'; {Nearest.Hint(name, names, "adapters")}");

    /// <summary>Detaches and frees them.</summary>
    public void Dispose()
    {
        routing?.Dispose();
        foreach (var set in Enumerable.Reverse(sets)) set.Dispose();
        sets.Clear();
    }
}
