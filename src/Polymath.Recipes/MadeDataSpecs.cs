namespace Polymath.Recipes;

/// <summary>A source whose rows are made from what models answered, and not read from files of the user.</summary>
public interface IMadeSource
{
    /// <summary>The shape of its rows.</summary>
    DataShape Shape { get; }

    /// <summary>How its rows are split.</summary>
    SplitSpec? Split { get; }
}

/// <summary>What is read of sampled answers.</summary>
public enum SampledRows
{
    /// <summary>The best and the worst answer to each prompt, where their scores differ.</summary>
    Pairs,

    /// <summary>The best answer to each prompt.</summary>
    Best,

    /// <summary>Every answer, good or bad by its score.</summary>
    Judged,
}

/// <summary>
/// The answers that an earlier stage of the run has sampled, in its last visit before the stage that reads them.
/// </summary>
/// <param name="From">The stage; it aligns by <c>rollout</c>.</param>
/// <param name="What">What is read of the answers.</param>
/// <param name="Least">The least score of a best answer, or of a good one; when left out, every best answer is read, and an answer is good
/// if its score is above the mean of the answers to its prompt.</param>
/// <param name="Split">How the rows are split; all of them train when left out.</param>
public sealed record SampledSpec(
    [Means(Meaning.StageName)] string From,
    SampledRows What = SampledRows.Pairs,
    double? Least = null,
    SplitSpec? Split = null) : DataSpec, IMadeSource
{
    /// <inheritdoc/>
    public DataShape Shape => What switch
    {
        SampledRows.Pairs => DataShape.Preference,
        SampledRows.Judged => DataShape.Kto,
        _ => DataShape.Alpaca,
    };
}

/// <summary>What is read of people's votes.</summary>
public enum VotedRows
{
    /// <summary>The better and the worse answer of each pair.</summary>
    Pairs,

    /// <summary>Each answer, good or bad: the better one is good, the worse one bad, and both of a pair that was called bad.</summary>
    Judged,

    /// <summary>The answers that people wrote in place of the model's.</summary>
    Edits,
}

/// <summary>What people preferred, from the file that <c>polymath label</c> writes.</summary>
/// <param name="Votes">The file.</param>
/// <param name="What">What is read of the votes.</param>
/// <param name="Split">How the rows are split; all of them train when left out.</param>
public sealed record VotesSpec(
    [Means(Meaning.Files)] string Votes,
    VotedRows What = VotedRows.Pairs,
    SplitSpec? Split = null) : DataSpec, IMadeSource
{
    /// <inheritdoc/>
    public DataShape Shape => What switch
    {
        VotedRows.Pairs => DataShape.Preference,
        VotedRows.Judged => DataShape.Kto,
        _ => DataShape.Alpaca,
    };
}
