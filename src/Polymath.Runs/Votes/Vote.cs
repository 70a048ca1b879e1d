namespace Polymath.Runs;

/// <summary>What a person says of two answers that stand beside each other.</summary>
public enum Verdict
{
    /// <summary>The left answer is better.</summary>
    Left,

    /// <summary>The right answer is better.</summary>
    Right,

    /// <summary>Both are equally good.</summary>
    Tie,

    /// <summary>Neither is good.</summary>
    Bad,

    /// <summary>The person does not say.</summary>
    Skip,
}

/// <summary>A vote, as a row of the store.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="Left">The answer that stood on the left.</param>
/// <param name="Right">The answer that stood on the right.</param>
/// <param name="Verdict">What the person said.</param>
/// <param name="Edited">What the person wrote as the answer that should have been given; null for nothing.</param>
/// <param name="Source">Where the prompt comes from: its row's name, or a file's line.</param>
/// <param name="System">The system message; null for none.</param>
/// <param name="LeftBy">What gave the left answer: digests of the model and of its adapter.</param>
/// <param name="RightBy">The same of the right answer.</param>
/// <param name="Sampling">How the answers were sampled, as JSON.</param>
/// <param name="Rater">Who voted.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Time">When.</param>
public sealed record Vote(
    string Prompt,
    string Left,
    string Right,
    Verdict Verdict,
    string? Edited,
    string Source,
    string? System,
    string LeftBy,
    string RightBy,
    string Sampling,
    string Rater,
    double Seconds,
    DateTimeOffset Time)
{
    /// <summary>Whether the answers stand in the order in which votes on them are compared, whatever side they stood on.</summary>
    internal bool InOrder => string.CompareOrdinal(Left, Right) <= 0;

    /// <summary>What was voted on.</summary>
    internal VotedPair Pair => InOrder ? new VotedPair(Prompt, System, Left, Right) : new VotedPair(Prompt, System, Right, Left);

    /// <summary>The verdict on the answers in that order.</summary>
    internal Verdict Ordered => (InOrder, Verdict) switch
    {
        (false, Verdict.Left) => Verdict.Right,
        (false, Verdict.Right) => Verdict.Left,
        _ => Verdict,
    };
}

/// <summary>Two answers to a prompt, in one order whatever side they stood on.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="System">The system message; null for none.</param>
/// <param name="First">The answer that comes first in ordinal order.</param>
/// <param name="Second">The other one.</param>
public sealed record VotedPair(
    string Prompt,
    string? System,
    string First,
    string Second);

/// <summary>The better and the worse of two answers, by the majority of the votes.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="System">The system message; null for none.</param>
/// <param name="Better">The better answer.</param>
/// <param name="Worse">The worse answer.</param>
/// <param name="For">The votes for it.</param>
/// <param name="Against">The votes for the other one.</param>
public sealed record PreferredPair(
    string Prompt,
    string? System,
    string Better,
    string Worse,
    int For,
    int Against);

/// <summary>An answer that people called good or bad, by the majority of the votes.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="System">The system message; null for none.</param>
/// <param name="Answer">The answer.</param>
/// <param name="IsGood">Whether it is good.</param>
public sealed record JudgedAnswer(
    string Prompt,
    string? System,
    string Answer,
    bool IsGood);

/// <summary>An answer that a person wrote.</summary>
/// <param name="Prompt">What the user said.</param>
/// <param name="System">The system message; null for none.</param>
/// <param name="Answer">The answer.</param>
public sealed record EditedAnswer(string Prompt, string? System, string Answer);
