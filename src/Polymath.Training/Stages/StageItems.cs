using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training.Stages;

/// <summary>What became of a stage's rows on their way to tokens.</summary>
/// <param name="Rows">The rows that train.</param>
/// <param name="Tokens">Their tokens.</param>
/// <param name="Targets">Their targets.</param>
/// <param name="Changed">What happened to the others, or to a part of them: one reason for a row, the number of rows, and the first of
/// them.</param>
public sealed record RowCounts(
    int Rows,
    long Tokens,
    long Targets,
    IReadOnlyList<RowChange> Changed)
{
    /// <summary>The documents that the rows were filled from; null where a document is a row.</summary>
    public int? Documents { get; init; }

    /// <summary>The counts of items.</summary>
    /// <param name="items">The items.</param>
    /// <param name="changed">What happened to rows.</param>
    internal static RowCounts Of(IReadOnlyList<Item> items, RowChanges changed) => new(
        items.Count,
        items.Sum(item => (long)item.Tokens),
        items.Sum(item => item.Rows.Sum(row => (long)row.Targets)),
        changed.All);

    /// <summary>The rows that train nothing.</summary>
    public int Dropped => Changed.Where(change => change.Dropped).Sum(change => change.Rows);

    /// <summary>The counts as a sentence.</summary>
    public string Told() => $"{Rows:N0} rows{(Documents is { } filled ? $" filled from {filled:N0} documents" : "")}, "
        + $"{Tokens:N0} tokens, {Targets:N0} targets"
        + string.Concat(Changed.Select(change => $"; {change.Rows:N0} {change.What} (such as {string.Join(", ", change.Examples)})"));
}

/// <summary>One thing that happened to rows.</summary>
/// <param name="What">What happened, as a clause such as <c>cut to 64 tokens</c>.</param>
/// <param name="Rows">The number of rows.</param>
/// <param name="Dropped">Whether they are left out.</param>
/// <param name="Examples">The first of them, by their names in messages.</param>
public sealed record RowChange(
    string What,
    int Rows,
    bool Dropped,
    IReadOnlyList<string> Examples);

/// <summary>Counts what happens to rows: one reason for each.</summary>
sealed class RowChanges
{
    private const int Shown = 3;

    private readonly Dictionary<(string What, bool Dropped), (int Rows, List<string> Examples)> counts = [];

    /// <summary>The counts, in the order in which they were met.</summary>
    internal IReadOnlyList<RowChange> All =>
        [.. counts.Select(pair => new RowChange(pair.Key.What, pair.Value.Rows, pair.Key.Dropped, pair.Value.Examples))];

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
sealed class StageItems(StageSpec stage, BatchSpec batch, IReadOnlyList<string>? labels, bool fills)
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
    internal RowCounts Counts => RowCounts.Of(items, changes) with { Documents = filled?.Documents };

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
                items.Add(new Item([fit], Label: LabelOf(row, task)));
            else if (fit.Targets > 0)
                items.Add(new Item([fit]));
            else
                untrained.Add(fit.Source);
        }
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
                var left = new TokenRow(shortened.Ids[..length], shortened.Learn[..length], row.Source);
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
