using Polymath.Recipes;

namespace Polymath.Training.Schedules;

/// <summary>
/// Warmup, stable, decay (Hu et al. 2024, "MiniCPM"): the peak stays, and falls in the last steps. As transformers'
/// <c>get_wsd_schedule</c>.
/// </summary>
public static class WsdShape
{
    /// <summary>The part of the steps that decay when nothing is said, as MiniCPM's.</summary>
    public const double UsualShare = 0.1;

    /// <summary>How much of the way from the floor to the peak is left.</summary>
    /// <param name="past">The steps since the warmup.</param>
    /// <param name="length">The steps that come after the warmup.</param>
    /// <param name="decay">The last of them, in which the rate falls.</param>
    /// <param name="shape">Along which shape.</param>
    public static double Share(double past, double length, double decay, DecayShape shape)
    {
        var stable = length - decay;
        if (past < stable || decay <= 0) return past < length ? 1 : 0;
        var way = Math.Min(1, (past - stable) / decay);
        return shape switch
        {
            DecayShape.Linear => 1 - way,
            DecayShape.OneMinusSqrt => 1 - Math.Sqrt(way),
            _ => 0.5 * (1 + Math.Cos(Math.PI * way)),
        };
    }

    /// <summary>The steps in which the rate falls.</summary>
    /// <param name="steps">The steps of the stage.</param>
    /// <param name="length">Those that come after the warmup, which is the most.</param>
    /// <param name="spec">The share of the stage or the number.</param>
    public static double StepsOf(int steps, double length, ScheduleSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return Math.Min(length, spec.DecaySteps ?? Math.Max(1, Math.Round((spec.DecayShare ?? UsualShare) * steps)));
    }
}
