using Polymath.Recipes;
using Polymath.Runs;
using Spectre.Console;

namespace Polymath.Cli;

/// <summary>Draws which model each stage of a run was made from.</summary>
internal static class LineagePage
{
    private const int DigestLength = 12;

    /// <summary>A stage with where it comes from and its figures.</summary>
    /// <param name="Lineage">Where it comes from.</param>
    /// <param name="Figures">Its abilities.</param>
    internal sealed record Entry(StageLineage Lineage, IReadOnlyDictionary<string, double> Figures);

    /// <summary>The finished stages, in order.</summary>
    /// <param name="view">The run.</param>
    internal static IReadOnlyList<Entry> Of(RunView view) =>
    [
        .. view.Lineage.Select(lineage => new Entry(
            lineage,
            view.Done.LastOrDefault(record => record.Abilities.After == lineage.Stage)?.Abilities.Values
                ?? new Dictionary<string, double>())),
    ];

    /// <summary>Draws the tree.</summary>
    /// <param name="view">The run.</param>
    /// <exception cref="InputException">No stage is finished.</exception>
    internal static void Show(RunView view)
    {
        var entries = Of(view);
        if (entries.Count == 0)
            throw new InputException($"{view.Folder} has no finished stage whose origin is known. Run the recipe to its first model.");
        // What no stage of the run made: a folder, or fresh weights.
        foreach (var root in entries.Where(entry => entries.All(other => other.Lineage.Stage != entry.Lineage.From))
            .GroupBy(entry => entry.Lineage.From))
        {
            var tree = new Tree(Markup.Escape(root.Key ?? "fresh weights"));
            foreach (var entry in root) Add(tree, entry, entries);
            AnsiConsole.Write(tree);
        }
    }

    private static void Add(IHasTreeNodes place, Entry entry, IReadOnlyList<Entry> entries)
    {
        var lineage = entry.Lineage;
        var node = place.AddNode(Markup.Escape($"{lineage.Stage} ({lineage.Kind}, {lineage.Method}, {lineage.Steps:N0} steps)"));
        foreach (var (name, data) in lineage.Data)
            node.AddNode(Markup.Escape($"data {name}: {data.Rows:N0} rows, {Short(data.Digest)}"));
        if (lineage.Models.Count > 0) node.AddNode(Markup.Escape($"models: {string.Join(", ", lineage.Models)}"));
        if (entry.Figures.Count > 0)
            node.AddNode(Markup.Escape(string.Join(", ", entry.Figures.Select(figure => $"{figure.Key} {figure.Value:G4}"))));
        foreach (var child in entries.Where(other => other.Lineage.From == lineage.Stage)) Add(node, child, entries);
    }

    private static string Short(string digest) => digest.Length <= DigestLength ? digest : digest[..DigestLength];
}
