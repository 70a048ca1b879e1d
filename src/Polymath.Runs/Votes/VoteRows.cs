using Polymath.Recipes;

namespace Polymath.Runs;

/// <summary>Rows of training data that are made from answers: the columns of the published layouts.</summary>
public static class VoteRows
{
    /// <summary>The rows that votes make.</summary>
    /// <param name="store">The votes.</param>
    /// <param name="what">What is read of them.</param>
    public static IReadOnlyList<IReadOnlyDictionary<string, object>> Of(VoteStore store, VotedRows what)
    {
        ArgumentNullException.ThrowIfNull(store);
        return what switch
        {
            VotedRows.Pairs => [.. store.Pairs().Select(pair => Pair(
                pair.Prompt,
                pair.Better,
                pair.Worse,
                pair.System))],
            VotedRows.Judged => [.. store.Judged().Select(answer => Judged(
                answer.Prompt,
                answer.Answer,
                answer.IsGood,
                answer.System))],
            _ => [.. store.Edits().Select(edit => Answer(edit.Prompt, edit.Answer, edit.System))],
        };
    }

    /// <summary>A ranked pair.</summary>
    /// <param name="prompt">What the user says.</param>
    /// <param name="chosen">The better answer.</param>
    /// <param name="rejected">The worse answer.</param>
    /// <param name="system">The system message; null for none.</param>
    public static IReadOnlyDictionary<string, object> Pair(
        string prompt,
        string chosen,
        string rejected,
        string? system = null) =>
        With(system, new() { ["prompt"] = prompt, ["chosen"] = chosen, ["rejected"] = rejected });

    /// <summary>An answer to learn.</summary>
    /// <param name="prompt">What the user says.</param>
    /// <param name="answer">The answer.</param>
    /// <param name="system">The system message; null for none.</param>
    public static IReadOnlyDictionary<string, object> Answer(string prompt, string answer, string? system = null) =>
        With(system, new() { ["instruction"] = prompt, ["output"] = answer });

    /// <summary>An answer that is good or bad.</summary>
    /// <param name="prompt">What the user says.</param>
    /// <param name="answer">The answer.</param>
    /// <param name="good">Whether it is good.</param>
    /// <param name="system">The system message; null for none.</param>
    public static IReadOnlyDictionary<string, object> Judged(
        string prompt,
        string answer,
        bool good,
        string? system = null) =>
        With(system, new() { ["prompt"] = prompt, ["completion"] = answer, ["label"] = good });

    private static Dictionary<string, object> With(string? system, Dictionary<string, object> row)
    {
        if (system is not null) row["system"] = system;
        return row;
    }
}
