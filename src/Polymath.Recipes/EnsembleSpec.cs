namespace Polymath.Recipes;

/// <summary>
/// The share of rows with the right label when several finished task stages answer together: trained with other seeds, by other prompts, or
/// of other models. It is measured after each of its stages as soon as all of them are finished; their models are read one after another.
/// </summary>
/// <param name="Stages">The stages: of this recipe; or of another run, RUN/STAGE; or a model's folder. The first one is of this recipe, and
/// its rows are asked.</param>
/// <param name="Together">How their answers become one; weights are found on validation rows.</param>
/// <param name="Rows">The most rows.</param>
/// <param name="Split">The part of the data.</param>
/// <param name="Figure">What is counted: right rows, or the mean F1 of the labels.</param>
public sealed record EnsembleAbility(
    IReadOnlyList<string> Stages,
    PromptsTogether Together = PromptsTogether.Mean,
    [Bounds(1)] int Rows = 1000,
    DataSplit Split = DataSplit.Validation,
    LabelFigure Figure = LabelFigure.Accuracy) : AbilitySpec
{
    /// <inheritdoc/>
    public override bool HigherIsBetter => true;

    /// <summary>Null: it is measured of several models, not of the one that a stage trains.</summary>
    public override string? StageName => null;
}
