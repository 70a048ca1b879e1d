using System.Globalization;

namespace Polymath.Recipes;

/// <summary>Reads the stages of later rounds that differ from those of the first one.</summary>
/// <param name="faults">Receives the faults.</param>
internal sealed class RoundReader(FaultList faults)
{
    private const string At = "rounds.changes";

    /// <summary>The recipe with each changed round's stages.</summary>
    /// <param name="root">The recipe as it is written.</param>
    /// <param name="recipe">The recipe as it was read.</param>
    /// <param name="bind">Reads a recipe that is written otherwise, and reports its faults.</param>
    public Recipe Read(MappingNode root, Recipe recipe, Func<Node, FaultList, Recipe?> bind)
    {
        if (recipe.Rounds?.Changes is not { Count: > 0 }) return recipe;
        var written = (MappingNode)((MappingNode)root.Find("rounds")!.Value).Find("changes")!.Value;
        var plain = root.Without("rounds");
        var before = new FaultList();
        bind(plain, before);
        var rounds = new Dictionary<int, IReadOnlyList<StageSpec>>();
        foreach (var entry in written.Entries)
        {
            if (NumberOf(entry, recipe.Rounds.Count) is not { } round || entry.Value is not MappingNode changes) continue;
            if (Changed(plain, recipe, changes, $"{At}.{entry.Key}") is not { } tree) continue;
            var after = new FaultList();
            var read = bind(tree, after);
            Report(before, after, round);
            if (read is null) continue;
            rounds[round] =
            [
                .. read.Stages.Select(stage => changes.Find(stage.Name) is null
                    ? recipe.Stages.First(own => own.Name == stage.Name)
                    : stage),
            ];
        }
        return recipe with { Changed = rounds };
    }

    private int? NumberOf(Entry entry, int count)
    {
        if (int.TryParse(entry.Key, NumberStyles.None, CultureInfo.InvariantCulture, out var round) && round >= 2 && round <= count)
            return round;
        faults.Add(
            $"{At}.{entry.Key}",
            entry.Place,
            $"'{entry.Key}' is no later round",
            count < 2 ? "write count: 2 or more" : $"write a number from 2 to {count}");
        return null;
    }

    // A change that names another kind is the whole stage, as the settings of the old kind have no meaning for it.
    private MappingNode? Changed(
        MappingNode plain,
        Recipe recipe,
        MappingNode changes,
        string at)
    {
        if (plain.Find("stages")?.Value is not ListNode stages) return null;
        var items = stages.Items.ToArray();
        foreach (var entry in changes.Entries)
        {
            var repeated = recipe.Visits().Where(visit => visit.Round > 1).Select(visit => visit.Stage.Name).Distinct().ToList();
            var index = Merging.IndexOf(stages, entry.Key);
            if (!repeated.Contains(entry.Key) || index < 0)
            {
                faults.Add(
                    $"{at}.{entry.Key}",
                    entry.Place,
                    $"no stage '{entry.Key}' is repeated",
                    Nearest.Hint(entry.Key, repeated, "repeated stages"));
                return null;
            }
            if (entry.Value is not MappingNode change) return null;
            if (change.Find("name") is { } renamed)
            {
                faults.Add($"{at}.{entry.Key}.name", renamed.Place, "a stage keeps its name in all rounds", "leave it out");
                return null;
            }
            var old = (MappingNode)items[index];
            items[index] = change.Text("kind") is { } kind && kind != old.Text("kind")
                ? change.With(old.Find("name")!)
                : new Merging(faults).Merge(old, change, $"{at}.{entry.Key}");
        }
        return plain.With(plain.Find("stages")! with { Value = new ListNode(stages.Place, items) });
    }

    private void Report(FaultList before, FaultList after, int round)
    {
        var told = before.Sorted().Select(fault => (fault.Path, fault.Line, fault.Column, fault.Problem)).ToHashSet();
        foreach (var fault in after.Sorted())
        {
            if (told.Contains((fault.Path, fault.Line, fault.Column, fault.Problem))) continue;
            faults.Add(
                fault.Path,
                new Place(fault.File, fault.Line, fault.Column),
                $"in round {round}, {fault.Problem}",
                fault.Hint);
        }
    }
}
