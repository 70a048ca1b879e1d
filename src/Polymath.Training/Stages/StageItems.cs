using Polymath.Recipes;
using Polymath.Runs.Reports;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts;

namespace Polymath.Training.Stages;

/// <summary>Counts what happens to rows: one reason for each.</summary>
internal sealed class RowChanges
{
    private const int Shown = 3;

    private readonly Dictionary<(string What, bool Dropped), (int Rows, List<string> Examples)> counts = [];

    /// <summary>The counts, in the order in which they were met.</summary>
    internal IReadOnlyList<RowChange> All =>
        [.. counts.Select(pair => new RowChange(pair.Key.What, pair.Value.Rows, pair.Key.Dropped, pair.Value.Examples))];

    /// <summary>The counts of items.</summary>
    /// <param name="items">The items.</param>
    internal RowCounts Of(IReadOnlyList<Item> items) => new(
        items.Count,
        items.Sum(item => (long)item.Tokens),
        items.Sum(item => item.Rows.Sum(row => (long)row.Targets)),
        All);

    /// <summary>Counts a row.</summary>
    /// <param name="what">What happened.</param>
    /// <param name="dropped">Whether it is left out.</param>
    /// <param name="name">Its name in messages.</param>
    internal void Count(string what, bool dropped, string name)
    {
        var (rows, examples) = counts.GetValueOrDefault((what, dropped), (0, []));
        if (rows < Shown)
            examples.Add(name);
        counts[(what, dropped)] = (rows + 1, examples);
    }
}

/// <summary>Turns rows of a stage into items for its objective.</summary>
/// <param name="stage">The stage.</param>
/// <param name="batch">The length of rows, and what happens to longer ones.</param>
/// <param name="labels">A task's labels.</param>
/// <param name="fills">Whether documents run on from row to row.</param>
internal sealed class StageItems(StageSpec stage, BatchSpec batch, IReadOnlyList<string>? labels, bool fills)
{
    private readonly int maxLength = batch.MaxLength!.Value;
    private readonly FilledRows? filled = fills ? new FilledRows(batch.MaxLength!.Value) : null;
    private readonly RowChanges changes = new();
    private readonly List<Item> items = [];
    private readonly List<string> untrained = [];

    /// <summary>The items so far.</summary>
    internal IReadOnlyList<Item> Items => items;

    /// <summary>Rows that train no token, by their names.</summary>
    internal IReadOnlyList<string> Untrained => untrained;

    /// <summary>What became of the rows.</summary>
    internal RowCounts Counts => changes.Of(items) with { Documents = filled?.Documents };

    /// <summary>Adds a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="tokenize">Its tokens, at most so many.</param>
    /// <param name="checks">Looks at what becomes of it; null for nothing.</param>
    /// <exception cref="InputException">It is too long and the policy refuses it, or has a label that is not known.</exception>
    internal void Add(Row row, Func<int, TokenRow> tokenize, TargetChecks? checks)
    {
        var whole = tokenize(int.MaxValue);
        // A document that runs on in the next row is never too long.
        var runsOn = filled is not null && batch.Overlong is OverlongPolicy.Cut or OverlongPolicy.Split;
        var fitting = whole.Length > maxLength && !runsOn ? Shorten(tokenize, whole) : [whole];
        checks?.Add(whole, fitting);
        if (filled is not null)
        {
            foreach (var fit in fitting)
                items.AddRange(filled.Add(fit with { Data = row.Data }).Select(made => new Item([made])));
            return;
        }
        foreach (var fit in fitting.Select(fit => fit with { Data = row.Data }))
        {
            if (stage.Objective is TaskSpec task)
                items.Add(new LabelItem([fit], LabelOf(row, task)));
            else if (fit.Targets > 0)
                items.Add(new Item([fit]));
            else
                untrained.Add(fit.Source);
        }
    }

    /// <summary>Adds a row as a task's prompts ask it.</summary>
    /// <param name="row">The row.</param>
    /// <param name="asked">The task.</param>
    /// <param name="learned">Whether it is learned, which may need fewer rows than to ask.</param>
    /// <exception cref="InputException">It is too long and the policy refuses it, or has a label that is not known.</exception>
    internal void AddAsked(Row row, AskedTask asked, bool learned)
    {
        // Demonstrations take what the question leaves, so it alone is too long or not.
        var longest = asked.Longest(row.Name, row.Fields);
        if (longest.Length > maxLength)
        {
            if (batch.Overlong is OverlongPolicy.Refuse or OverlongPolicy.Drop)
            {
                _ = Shorten(_ => longest, longest);
                return;
            }
            changes.Count($"cut to {maxLength:N0} tokens", false, row.Name);
        }
        var label = LabelOf(row, (TaskSpec)stage.Objective);
        var rows = learned
            ? asked.LearnedRows(
                row.Name,
                row.Fields,
                label,
                maxLength)
            : asked.Rows(row.Name, row.Fields, maxLength);
        items.Add(new LabelItem([.. rows.Select(one => one with { Data = row.Data })], label));
    }

    /// <summary>Adds what is left of the last document.</summary>
    internal void Finish()
    {
        if (filled?.Rest() is { } last)
            items.Add(new Item([last]));
    }

    private List<TokenRow> Shorten(Func<int, TokenRow> tokenize, TokenRow row)
    {
        switch (batch.Overlong)
        {
            case OverlongPolicy.Refuse:
                throw new InputException($"Stage {stage.Name}: {row.Source} has {row.Length} tokens, more than the {maxLength} "
                    + "allowed, and batch.overlong is refuse. Choose cut, split or drop, or raise maxLength.");
            case OverlongPolicy.Drop:
                changes.Count($"left out: longer than {maxLength:N0} tokens", true, row.Source);
                return [];
            case OverlongPolicy.Split when stage.Objective is PretrainSpec:
                changes.Count($"split into pieces of {maxLength:N0} tokens", false, row.Source);
                // Neighbouring pieces share one token, so that each token of the row except the first stays a target.
                var pieces = new List<TokenRow>();
                for (var at = 0; at + 1 < row.Length; at += maxLength - 1)
                {
                    var end = Math.Min(at + maxLength, row.Length);
                    pieces.Add(new TokenRow(row.Ids[at..end], row.Learn[at..end], row.Source));
                }
                return pieces;
            default:
                var shortened = tokenize(maxLength);
                var length = Math.Min(maxLength, shortened.Length);
                var left = shortened with { Ids = shortened.Ids[..length], Learn = shortened.Learn[..length], Source = row.Source };
                var learns = stage.Objective is TaskSpec || left.Targets > 0;
                changes.Count(
                    learns ? $"cut to {maxLength:N0} tokens" : $"left out: no answer within {maxLength:N0} tokens", !learns, row.Source);
                return learns ? [left] : [];
        }
    }

    private int LabelOf(Row row, TaskSpec task)
    {
        var value = row.Fields.GetValueOrDefault(task.Label, "");
        for (var i = 0; i < labels!.Count; i++)
            if (labels[i] == value) return i;
        throw new InputException($"Stage {stage.Name}: {row.Name} has the label '{value}', which no training row has. Labels are "
            + $"{string.Join(", ", labels)}.");
    }
}
