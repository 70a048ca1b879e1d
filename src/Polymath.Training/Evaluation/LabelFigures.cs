using Polymath.Recipes;

namespace Polymath.Training.Evaluation;

/// <summary>Figures of guessed labels.</summary>
public static class LabelFigures
{
    /// <summary>A figure.</summary>
    /// <param name="figure">Which.</param>
    /// <param name="rows">For each row the label that is guessed and the right one.</param>
    public static double Of(LabelFigure figure, IReadOnlyList<(int Guess, int Label)> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return figure == LabelFigure.Accuracy ? rows.Average(row => row.Guess == row.Label ? 1.0 : 0) : MacroF1(rows);
    }

    // Over the labels that rows have or that are guessed, as scikit-learn counts them. F1 = 2·right/(guessed + there).
    private static double MacroF1(IReadOnlyList<(int Guess, int Label)> rows) => rows.SelectMany(row => new[] { row.Guess, row.Label })
        .Distinct()
        .Average(label => 2.0 * rows.Count(row => row.Guess == label && row.Label == label)
            / (rows.Count(row => row.Guess == label) + rows.Count(row => row.Label == label)));
}
