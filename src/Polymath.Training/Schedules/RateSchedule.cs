using Polymath.Recipes;

namespace Polymath.Training.Schedules;

/// <summary>The learning rate of each step, a pure function of the step.</summary>
/// <param name="peak">The rate at its peak.</param>
/// <param name="steps">The steps of the stage.</param>
/// <param name="spec">The shape.</param>
public sealed class RateSchedule(double peak, int steps, ScheduleSpec spec)
{
    private readonly int warmup = spec.WarmupOf(steps);

    /// <summary>The same shape with another peak.</summary>
    /// <param name="rate">The rate at its peak.</param>
    public RateSchedule To(double rate) => new(rate, steps, spec);

    /// <summary>
    /// The rate of a step: it rises linearly during the warmup and then follows the shape to the floor, which is reached after the last
    /// step, so that no step has the rate 0.
    /// </summary>
    /// <param name="step">The step, from 1.</param>
    public double At(int step)
    {
        if (step <= warmup) return peak * step / warmup;
        // As transformers counts: its step 0 is the first one.
        double length = Math.Max(1, steps - warmup), progress = Math.Clamp((step - 1 - warmup) / length, 0, 1);
        var share = spec.Kind switch
        {
            ScheduleKind.Cosine => 0.5 * (1 + Math.Cos(Math.PI * progress)),
            ScheduleKind.Linear => 1 - progress,
            ScheduleKind.Constant => 1,
            _ => Share(progress * length, length),
        };
        return peak * (spec.Floor + (1 - spec.Floor) * share);
    }

    // The shapes with settings of their own.
    private double Share(double past, double length) => spec.Kind switch
    {
        ScheduleKind.Wsd => WsdShape.Share(past, length, WsdShape.StepsOf(steps, length, spec), spec.DecayShape ?? DecayShape.Cosine),
        ScheduleKind.InverseSqrt => InverseSqrtShape.Share(past, InverseSqrtShape.TimescaleOf(spec, warmup)),
        ScheduleKind.Polynomial => PolynomialShape.Share(past, length, spec.Power ?? 1),
        ScheduleKind.Restarts => RestartsShape.Share(past, length, spec.Cycles ?? 1),
        _ => throw new InvalidOperationException($"There is no schedule {spec.Kind}."),
    };
}
