namespace Polymath.Training.Schedules;

/// <summary>
/// Half a cosine, several times, each from the peak (Loshchilov &amp; Hutter 2017, "SGDR", with cycles of one length). As transformers'
/// <c>get_cosine_with_hard_restarts_schedule_with_warmup</c>.
/// </summary>
public static class RestartsShape
{
    /// <summary>How much of the way from the floor to the peak is left.</summary>
    /// <param name="past">The steps since the warmup.</param>
    /// <param name="length">The steps that come after the warmup.</param>
    /// <param name="cycles">How often the rate falls.</param>
    public static double Share(double past, double length, int cycles)
    {
        var progress = past / length;
        return progress >= 1 ? 0 : 0.5 * (1 + Math.Cos(Math.PI * (cycles * progress % 1)));
    }
}
