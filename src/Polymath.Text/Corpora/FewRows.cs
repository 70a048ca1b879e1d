using Polymath.Recipes;
using Polymath.Text.Prompts;

namespace Polymath.Text;

/// <summary>Few rows for training, and as many others for choosing.</summary>
public static class FewRows
{
    /// <summary>The few training and validation rows, and all test rows, in the order in which they were.</summary>
    /// <param name="name">The view's name.</param>
    /// <param name="rows">The rows.</param>
    /// <param name="spec">How few.</param>
    /// <param name="seed">The recipe's seed.</param>
    /// <exception cref="InputException">A value has too few rows.</exception>
    public static IReadOnlyList<Row> Of(
        string name,
        IReadOnlyList<Row> rows,
        FewSpec spec,
        int seed)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(spec);
        // The order of files does not decide what is drawn.
        List<int> pool = [.. Enumerable.Range(0, rows.Count).Where(i => rows[i].Split == DataSplit.Train)
            .OrderBy(i => rows[i].Key, StringComparer.Ordinal).ThenBy(i => i)];
        List<string> values = [.. pool.Select(i => rows[i].Fields.TryGetValue(spec.By, out var value)
            ? value
            : throw new InputException($"data '{name}': few.by names the field '{spec.By}', which {rows[i].Name} does not have. Correct "
                + "the name."))];
        var numbers = values.Distinct().Order(StringComparer.Ordinal).Index()
            .ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        foreach (var value in numbers.Keys)
            if (values.Count(own => own == value) is var count && count < 2 * spec.Count)
                throw new InputException($"data '{name}': the {spec.By} '{value}' has {count} training rows, and {spec.Count} for training "
                    + $"and as many for validation are asked for. Lower few.count to {count / 2} or less, or leave rows of '{value}' out "
                    + "with where.");
        List<int> labels = [.. values.Select(value => numbers[value])];
        var random = new RandomStream(spec.Seed ?? seed, $"few of {spec.By}");
        var train = FewShot.Draw(labels, new ExampleCount(PerLabel: spec.Count), random);
        var others = FewShot.Draw(
            labels,
            new ExampleCount(PerLabel: spec.Count),
            new RandomStream(spec.Seed ?? seed, $"few others of {spec.By}"),
            train);
        HashSet<int> few = [.. train.Select(i => pool[i])], rest = [.. others.Select(i => pool[i])];
        var kept = new List<Row>();
        for (var i = 0; i < rows.Count; i++)
            if (few.Contains(i) || rows[i].Split == DataSplit.Test) kept.Add(rows[i]);
            else if (rest.Contains(i)) kept.Add(rows[i] with { Split = DataSplit.Validation });
        return kept;
    }
}
