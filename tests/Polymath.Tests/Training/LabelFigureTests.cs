using Polymath.Recipes;
using Polymath.Training.Evaluation;

namespace Polymath.Tests.Training;

/// <summary>Figures of guessed labels against numbers made by hand, as scikit-learn's <c>f1_score</c> counts.</summary>
[Trait("kind", "unit")]
public sealed class LabelFigureTests
{
    [Fact]
    public void Accuracy_counts_rows_and_macro_f1_counts_labels()
    {
        // Label 0: 3 right of 4 there and 4 guessed; label 1: 1 right of 2 there and 1 guessed; label 2 is guessed once, never there.
        (int Guess, int Label)[] rows = [(0, 0), (0, 0), (0, 0), (2, 0), (0, 1), (1, 1)];
        Assert.Equal(4 / 6.0, LabelFigures.Of(LabelFigure.Accuracy, rows), 1e-12);
        Assert.Equal(((6 / 8.0) + (2 / 3.0) + 0) / 3, LabelFigures.Of(LabelFigure.MacroF1, rows), 1e-12);
    }
}
