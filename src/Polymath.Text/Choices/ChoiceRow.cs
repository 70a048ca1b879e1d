namespace Polymath.Text.Choices;

/// <summary>A question with its candidates.</summary>
/// <param name="Name">The row's name in messages.</param>
/// <param name="Question">The question as the model reads it.</param>
/// <param name="Choices">The candidates; none where the model writes the answer.</param>
/// <param name="Answer">The number of the right candidate, from 0.</param>
/// <param name="Solution">The right answer as a solved question shows it.</param>
public sealed record ChoiceRow(
    string Name,
    string Question,
    IReadOnlyList<string> Choices,
    int Answer,
    string Solution)
{
    /// <summary>What stands between a question and its answer.</summary>
    public const string Lead = " ";

    private const string Between = "\n\n";

    /// <summary>The question behind solved ones.</summary>
    /// <param name="before">What stands before all; empty for nothing.</param>
    /// <param name="solved">The solved questions.</param>
    public string After(string before, IReadOnlyList<ChoiceRow> solved) =>
        before + string.Concat(solved.Select(row => row.Question + Lead + row.Solution + Between)) + Question;
}
