using Polymath.Recipes;

namespace Polymath.Text;

/// <summary>
/// Whether a column says that answers are good or bad is a matter of all its values: where one row has 0 and another 2, the column is no
/// such flag, and a source that mixes both is refused.
/// </summary>
internal sealed class FlagColumns
{
    private readonly Dictionary<string, (string Value, RowPlace Place)> flags = new(StringComparer.Ordinal),
        others = new(StringComparer.Ordinal);

    /// <summary>Checks a row whose shape was recognised.</summary>
    /// <param name="row">The row.</param>
    /// <param name="shape">Its shape.</param>
    /// <exception cref="InputException">A column is a flag in one row, and something else in another.</exception>
    public void Check(SourceRow row, DataShape shape)
    {
        if (shape is DataShape.Labelled or DataShape.Text or DataShape.Preference)
            return;
        foreach (var name in ShapeKeys.Flag.Where(name => !row.Rules.Ignores(name) && !SourceRow.IsBlank(row.Values[name])))
        {
            var seen = (SourceRow.Short(row.Values[name]), row.Place);
            (AnswerFlag.Of(row.Values[name]) is null ? others : flags).TryAdd(name, seen);
            if (flags.TryGetValue(name, out var flag) && others.TryGetValue(name, out var other))
                throw row.Fault($"column '{name}' says whether an answer is good in one row ({flag.Value}: {flag.Place}), and does not in "
                    + $"another ({other.Value}: {other.Place}). If it is such a flag, write {AnswerFlag.Words}; if it is something else, "
                    + $"read the rows without it: ignore: [{name}] (--ignore {name}).");
        }
    }
}
