namespace Polymath.Training.Checkpoints;

/// <summary>The state of a stage, without tensors.</summary>
/// <param name="Step">The steps done.</param>
/// <param name="Cursors">The place of each term's next item.</param>
/// <param name="TorchRandom">libtorch's random state (dropout), in base64.</param>
/// <param name="Seconds">The time trained so far.</param>
/// <param name="Tokens">The tokens read so far.</param>
/// <param name="FirstLoss">The loss of the first step.</param>
/// <param name="Recent">The losses of the last steps, the last one last.</param>
/// <param name="Best">The best value of the figure that chooses the best checkpoint.</param>
/// <param name="BestStep">The step of that value.</param>
/// <param name="Stale">The measurements in a row that brought nothing better.</param>
/// <param name="HeldOutLoss">The held-out loss as it was measured last.</param>
/// <param name="HeldOutSpread">Its standard error.</param>
/// <param name="Began">A print of the trained weights before the first step.</param>
/// <param name="Figure">The figure that <paramref name="Best"/> is a value of.</param>
/// <param name="Memory">What each term's formula remembers between steps.</param>
/// <param name="Breaches">For each of the stage's stop rules, the steps in a row at which it held.</param>
/// <param name="Unmeasured">Whether the run was stopped before a measurement that was due at this step.</param>
public sealed record CheckpointState(
    int Step,
    IReadOnlyList<Cursor> Cursors,
    string TorchRandom,
    double Seconds,
    long Tokens,
    double FirstLoss,
    IReadOnlyList<double> Recent,
    double? Best = null,
    int? BestStep = null,
    bool Unmeasured = false,
    int Stale = 0,
    double? HeldOutLoss = null,
    double? HeldOutSpread = null,
    string Began = "",
    string? Figure = null,
    IReadOnlyList<IReadOnlyDictionary<string, double>>? Memory = null,
    IReadOnlyList<int>? Breaches = null)
{
    /// <summary>The mean loss of the last steps.</summary>
    public double LastLoss => Recent.Count == 0 ? double.NaN : Recent.Average();

    /// <summary>The state after another measurement of the figure; one that is not a number is never the best.</summary>
    /// <param name="found">The figure.</param>
    /// <param name="step">The step at which it was measured.</param>
    /// <param name="higher">Whether higher is better.</param>
    /// <param name="minimum">What it must gain to count as better.</param>
    public CheckpointState Compared(double found, int step, bool higher, double minimum)
    {
        var sign = higher ? 1 : -1;
        // The gain over an infinite figure is infinite, unless it is the same.
        var gain = Best is { } best ? (found - best) * sign : double.PositiveInfinity;
        return !double.IsNaN(found) && gain > minimum
            ? this with { Best = found, BestStep = step, Stale = 0 }
            : this with { Stale = Stale + 1 };
    }
}
