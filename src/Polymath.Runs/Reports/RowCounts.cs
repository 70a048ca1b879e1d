namespace Polymath.Runs.Reports;

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
    /// <summary>The file of a stage's folder that holds them.</summary>
    public const string File = "rows.json";

    /// <summary>The documents that the rows were filled from; null where a document is a row.</summary>
    public int? Documents { get; init; }

    /// <summary>The rows that train nothing.</summary>
    public int Dropped => Changed.Where(change => change.Dropped).Sum(change => change.Rows);

    /// <summary>Writes the counts to a stage's folder.</summary>
    /// <param name="folder">The folder.</param>
    public void Write(string folder) => RecordFile.Write(Path.Combine(folder, File), this);

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
