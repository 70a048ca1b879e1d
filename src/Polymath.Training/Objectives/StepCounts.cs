namespace Polymath.Training.Objectives;

/// <summary>
/// What one step counts, over all its micro-batches and processes. A formula returns sums that are already divided by them, so that the sum
/// over micro-batches is the loss of the step, however the rows were dealt out.
/// </summary>
/// <param name="Rows">The rows; for preferences, the pairs.</param>
/// <param name="Tokens">The tokens that count; for preferences, those of the chosen answers.</param>
/// <param name="Places">The places whose value a critic estimates.</param>
public readonly record struct StepCounts(double Rows, double Tokens, double Places = 0)
{
    /// <summary>The counts of one batch that is a whole step.</summary>
    /// <param name="rows">Its rows.</param>
    public static StepCounts Of(RowLayout rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        return new StepCounts(rows.Rows, rows.Tokens);
    }
}
