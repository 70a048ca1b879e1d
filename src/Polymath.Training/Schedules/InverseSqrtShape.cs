using Polymath.Recipes;

namespace Polymath.Training.Schedules;

/// <summary>
/// The rate falls with the root of the step (Vaswani et al. 2017, section 5.3), without knowing an end. As transformers'
/// <c>get_inverse_sqrt_schedule</c>.
/// </summary>
public static class InverseSqrtShape
{
    private const double WithoutWarmup = 10_000;

    /// <summary>The share of the peak.</summary>
    /// <param name="past">The steps since the warmup.</param>
    /// <param name="timescale">1/√2 of the peak is left after so many.</param>
    public static double Share(double past, double timescale) => 1 / Math.Sqrt((past + timescale) / timescale);

    /// <summary>The timescale of a schedule: the warmup's length where none is said, 10,000 without a warmup.</summary>
    /// <param name="spec">The schedule.</param>
    /// <param name="warmup">The steps of its warmup.</param>
    public static double TimescaleOf(ScheduleSpec spec, int warmup)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return spec.Timescale ?? (warmup > 0 ? warmup : WithoutWarmup);
    }
}
