using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Recipes;
using Polymath.Training.Schedules;

namespace Polymath.Tests.Training.Optimizers;

/// <summary>The whole curve of each schedule beside transformers'.</summary>
[Trait("kind", "parity")]
public sealed class ScheduleShapeTests
{
    private static readonly JsonArray rows = JsonNode.Parse(File.ReadAllText(
        Path.Combine(AppContext.BaseDirectory, "fixtures", "optimizers", "schedules.json")))!["rows"]!.AsArray();

    public static TheoryData<int> Rows => [.. Enumerable.Range(0, rows.Count)];

    private static (ScheduleSpec Spec, int Steps, double[] Shares) Row(int number)
    {
        var row = rows[number]!.AsObject();
        T? Of<T>(string key) where T : struct, Enum =>
            row[key] is { } choice ? Enum.Parse<T>((string)choice!, ignoreCase: true) : null;
        var spec = new ScheduleSpec(
            Of<ScheduleKind>("kind")!.Value,
            (int)row["warmup"]!,
            (double?)row["floor"] ?? 0,
            DecaySteps: (int?)row["decaySteps"],
            DecayShape: Of<DecayShape>("decayShape"),
            Timescale: (double?)row["timescale"],
            Power: (double?)row["power"],
            Cycles: (int?)row["cycles"]);
        return (spec, (int)row["steps"]!, row["shares"]!.Deserialize<double[]>()!);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void The_curve_is_that_of_transformers(int number)
    {
        var (spec, steps, shares) = Row(number);
        var length = steps - spec.Warmup;
        var warmup = spec.WarmupOf(steps);
        for (var step = warmup; step <= steps; step++)
        {
            var past = step - warmup;
            var share = spec.Kind switch
            {
                ScheduleKind.Wsd => WsdShape.Share(past, length, WsdShape.StepsOf(steps, length, spec), spec.DecayShape!.Value),
                ScheduleKind.InverseSqrt => InverseSqrtShape.Share(past, InverseSqrtShape.TimescaleOf(spec, warmup)),
                ScheduleKind.Polynomial => PolynomialShape.Share(past, length, spec.Power!.Value),
                _ => RestartsShape.Share(past, length, spec.Cycles!.Value),
            };
            Assert.Equal(shares[step], spec.Floor + (1 - spec.Floor) * share, 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void A_stage_s_rates_stay_within_the_curve_s_ends(int number)
    {
        var (spec, steps, _) = Row(number);
        var schedule = new RateSchedule(0.5, steps, spec);
        var rates = Enumerable.Range(1, steps).Select(schedule.At).ToList();
        Assert.All(rates, rate => Assert.InRange(rate, 0, 0.5));
        Assert.InRange(rates.Max(), 0.4, 0.5);
        // A root falls without an end.
        Assert.InRange(rates[^1], 0, spec.Kind == ScheduleKind.InverseSqrt ? 0.4999 : 0.2);
    }

    [Theory]
    [InlineData(null, null, 100, 10)]
    [InlineData(0.25, null, 100, 25)]
    [InlineData(null, 7, 100, 7)]
    [InlineData(null, null, 4, 1)]
    [InlineData(1.0, null, 100, 92)]
    public void The_steps_of_a_decay_are_a_share_of_the_stage_or_a_number(double? share, int? number, int steps, double wanted)
    {
        var spec = new ScheduleSpec(ScheduleKind.Wsd, Math.Min(8, steps / 2), DecayShare: share, DecaySteps: number);
        Assert.Equal(wanted, WsdShape.StepsOf(steps, steps - spec.Warmup, spec));
    }
}
