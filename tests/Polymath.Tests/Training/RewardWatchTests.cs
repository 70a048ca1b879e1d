using Polymath.Training.Rollouts;

namespace Polymath.Tests.Training;

/// <summary>What warns of rewards that are gamed.</summary>
[Trait("kind", "unit")]
public sealed class RewardWatchTests
{
    private static SampledAnswer Of(double score, double probe, int length) => new(
        "p",
        0,
        "prompt",
        "answer",
        new Dictionary<string, double?> { ["good"] = score, ["real"] = probe },
        score,
        [1],
        new int[length],
        []);

    private static List<SampledAnswer> Round(double score, double probe, int length, double longer = 0) =>
    [
        .. Enumerable.Range(0, 20).Select(i => Of(score + (0.01 * (i % 5)) + (longer * i), probe + (0.01 * (i % 3)), length + i)),
    ];

    [Fact]
    public void A_probe_that_falls_while_the_score_rises_warns()
    {
        var warning = Assert.Single(RewardWatch.Warnings(Round(0.2, 0.9, 10), Round(0.8, 0.4, 10), ["real"]));
        Assert.Matches(@"the score rose from 0\.22 to 0\.82 while the probe real, which is not learned, fell from 0\.91 to 0\.41", warning);
    }

    [Theory]
    [InlineData(0.8, 0.9)]
    [InlineData(0.2, 0.4)]
    [InlineData(0.1, 0.1)]
    public void Nothing_warns_where_the_probe_holds_or_the_score_does_not_rise(double score, double probe) =>
        Assert.Empty(RewardWatch.Warnings(Round(0.2, 0.9, 10), Round(score, probe, 10), ["real"]));

    [Fact]
    public void Answers_that_grow_and_are_rewarded_for_it_warn()
    {
        var warning = Assert.Single(RewardWatch.Warnings(Round(0.2, 0.9, 10), Round(0.5, 0.9, 40, longer: 0.05), ["real"]));
        Assert.Contains("answers grew from 20 to 50 tokens, and longer ones score better", warning);
    }

    [Fact]
    public void Length_bias_is_the_correlation_of_length_and_score()
    {
        Assert.Equal(1, RewardWatch.LengthBias([Of(1, 0, 3), Of(2, 0, 5), Of(3, 0, 7)])!.Value, 1e-9);
        Assert.Equal(-1, RewardWatch.LengthBias([Of(2, 0, 3), Of(1, 0, 9)])!.Value, 1e-9);
        // cov = 0.5, var = 1 and 1: by hand for (1, 1), (2, 3), (3, 2).
        Assert.Equal(0.5, RewardWatch.LengthBias([Of(1, 0, 1), Of(3, 0, 2), Of(2, 0, 3)])!.Value, 1e-9);
        Assert.Null(RewardWatch.LengthBias([Of(1, 0, 3), Of(1, 0, 5)]));
        Assert.Null(RewardWatch.LengthBias([Of(1, 0, 3), Of(2, 0, 3)]));
        Assert.Null(RewardWatch.LengthBias([Of(1, 0, 3)]));
    }
}
