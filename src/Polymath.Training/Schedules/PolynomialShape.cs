namespace Polymath.Training.Schedules;

/// <summary>
/// The rate falls along a power of what is left. As transformers' <c>get_polynomial_decay_schedule_with_warmup</c>, whose <c>lr_end</c> is
/// the floor times the peak.
/// </summary>
public static class PolynomialShape
{
    /// <summary>How much of the way from the floor to the peak is left.</summary>
    /// <param name="past">The steps since the warmup.</param>
    /// <param name="length">The steps that come after the warmup.</param>
    /// <param name="power">The power: 1 for a line.</param>
    public static double Share(double past, double length, double power) => Math.Pow(Math.Clamp(1 - past / length, 0, 1), power);
}
