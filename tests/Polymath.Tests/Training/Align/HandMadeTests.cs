using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Numbers worked out by hand.</summary>
[Trait("suite", "align")]
[Trait("kind", "unit")]
public sealed class HandMadeTests : IDisposable
{
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();

    public void Dispose() => scope.Dispose();

    private static void Near(double[] expected, Tensor actual) =>
        Assert.Equal(expected, CaseNumbers.Doubles(actual), (a, b) => Math.Abs(a - b) < 1e-9);

    private static void Near(double[] expected, double[] actual) => Assert.Equal(expected, actual, (a, b) => Math.Abs(a - b) < 1e-9);

    // Means are -1, -3 and -2. Worse answers above better ones: the first (reward 0) above the second (2) by 2 and above the third (1) by
    // 1, the third above the second by 1. The best answer's likelihood is 6.
    [Fact]
    public void Ranks()
    {
        var answers = new AnswerScores(Toys.Wide(-2, -6, -2), null, Toys.Wide(2, 2, 1));
        Near([2 + 1 + 1 + 6], new RankLoss().Each(answers, [0, 2, 1], [3]));
        Near([4], new RankLoss(0).Each(answers, [0, 2, 1], [3]));
        // In the right order nothing but the likelihood is left; equal rewards are not ranked.
        Near([2], new RankLoss().Each(answers, [2, 0, 1], [3]));
        Near([2], new RankLoss().Each(answers, [1, 1, 1], [3]));
        Near([2, 0.5], new RankLoss(0.25).Each(answers, [0, 1, 7], [2, 1]) - Toys.Wide(1.5, 0));
    }

    // delta = 1 + 0.9*0.5 - 0.2 = 1.25 at the first place, 2 - 0.5 = 1.5 at the second; 1.25 + 0.9*0.8*1.5 = 2.33.
    [Fact]
    public void Advantages_of_places()
    {
        var rewards = new TokenValues(Toys.Wide(1, 2, 7), new RowLayout([2, 1]));
        var (advantages, returns) = new GeneralizedAdvantages(0.9, 0.8).Of(rewards, Toys.Wide(0.2, 0.5, 3));
        Near([2.33, 1.5, 4], advantages);
        Near([2.53, 2, 7], returns);
    }

    [Fact]
    public void Rewards_of_places()
    {
        var tokens = new RowLayout([2, 1]);
        var places = TokenRewards.Places(tokens, [true, false]);
        Assert.Equal([3, 1], places.Lengths);
        var rewards = TokenRewards.Of(new TokenValues(Toys.Wide(1, 2, 3), tokens), 0.1, Toys.Wide(5, 6), places);
        Near([-0.1, -0.2, 5, 6 - 0.3], rewards.Each);
        Assert.Equal([0L, 1, 3], TokenRewards.TokenPlaces(tokens, places).data<long>().ToArray());
        Near([1, 1.5], TokenRewards.Penalized(Toys.Wide(1, 2), tensor(new[] { true, false }), 0.5));
    }

    [Fact]
    public void The_coefficient_of_divergence_follows_its_error()
    {
        var controller = new AdaptiveKl(0.2, 6, 1000);
        Assert.Equal(0.2 * (1 + 0.2 * 100 / 1000), controller.Next(60, 100).Coefficient, 1e-12);
        Assert.Equal(0.2 * (1 - 0.1 * 100 / 1000), controller.Next(5.4, 100).Coefficient, 1e-12);
        Assert.Equal(0.2 * (1 - 0.2 * 100 / 1000), controller.Next(0, 100).Coefficient, 1e-12);
        Assert.Equal(0.2, new FixedKl(0.2).Next(60, 100).Coefficient);
        Near([0.3, 0.045, Math.Exp(-0.3) - 1 + 0.3], stack([.. Enum.GetValues<KlKind>().Select(kind =>
            KlEstimate.Each(kind, Toys.Wide(-1), Toys.Wide(-1.3)))]).squeeze(1));
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(16384, 0)]
    [InlineData(18432, -0.5)]
    [InlineData(20480, -1)]
    [InlineData(30000, -1)]
    public void Long_answers(int tokens, double expected) => Assert.Equal(expected, new OverlongPenalty(20480, 4096).Of(tokens));

    [Fact]
    public void Choices()
    {
        double[] rewards = [1, 3, 3, 0, 0, 0, double.NaN, 2, double.NaN];
        int[] groups = [0, 0, 0, 1, 1, 1, 2, 2, 3];
        Assert.Equal([1, 3, 7], AnswerChoice.Best(rewards, groups));
        Assert.Equal([(1, 0), (3, 4)], AnswerChoice.Pairs(rewards, groups));
        Assert.Equal([0, 1, 2], AnswerChoice.OfDifferingGroups(rewards, groups));
        // The first of two equal answers is the chosen one.
        Assert.Equal([(0, 2)], AnswerChoice.Pairs([5, 5, 5.0 - 1], [4, 4, 4]));
    }

    [Fact]
    public void Advantages_of_groups()
    {
        int[] groups = [0, 0, 0, 1, 1];
        var table = new RewardTable([[1], [2], [6], [4], [4]]);
        Near([-2, -1, 3, 0, 0], GroupAdvantages.Of(table, groups, RewardScale.None));
        Near([.. new[] { -2.0, -1, 3, 0, 0 }.Select(x => x / (Math.Sqrt(7) + 1e-4))], GroupAdvantages.Of(table, groups));
        Near([-3, -1.5, 4.5, 0, 0], GroupAdvantages.LeaveOneOut(table.Totals(), groups));
        // An answer without a reward is no member of its group; one alone has nothing to be compared with.
        Near([-1, 1, 0, 0, 0], GroupAdvantages.LeaveOneOut([3, 4, double.NaN, double.NaN, 9], groups));
        Near([0, 0], GroupAdvantages.Of(new RewardTable([[5], [double.NaN]]), [0, 0]));
    }

    // KL still to come: 0.3 and 0.2 in the first row, 1.2, 0.7 and 0.3 in the second.
    [Fact]
    public void Advantages_of_tokens()
    {
        var kl = new TokenValues(Toys.Wide(0.1, 0.2, 0.5, 0.4, 0.3), new RowLayout([2, 3]));
        Near([0.7, 0.8, -3.2, -2.7, -2.3], ReinforcePlusPlus.Advantages(kl, 1, Toys.Wide(1, -2)));
        var empty = new TokenValues(Toys.Wide(0.1, 0.2), new RowLayout([0, 2, 0]));
        Near([0.85, 0.9], ReinforcePlusPlus.Advantages(empty, 0.5, Toys.Wide(9, 1, 9)));
    }

    [Fact]
    public void Weights_of_another_sampler()
    {
        var old = new TokenValues(Toys.Wide(Math.Log(2), Math.Log(0.5), Math.Log(3)), new RowLayout([2, 1]));
        var sampler = zeros(3, dtype: ScalarType.Float64);
        Near([1.5, 0.5, 1.5], new SamplerCorrection(false, OutOfBounds.Truncate, 1.5).Weights(old, sampler));
        Near([1.5, 0.6, 1.5], new SamplerCorrection(false, OutOfBounds.Truncate, 1.5, 0.6).Weights(old, sampler));
        Near([2, 0, 0], new SamplerCorrection(false, OutOfBounds.Mask, 2.5, 0.6).Weights(old, sampler));
        Near([1, 1, 0], new SamplerCorrection(true, OutOfBounds.Mask, 1.4).Weights(old, sampler));
        // The first row has moved on the average not at all, the second by log 3; only a bad row is left out.
        Near([1, 0], new OffPolicyMask(0.1).Rows(old with { Each = sampler }, old.Each, Toys.Wide(-1, -1)));
        Near([1, 1], new OffPolicyMask(0.1).Rows(old with { Each = sampler }, old.Each, Toys.Wide(-1, 0)));
    }

    [Fact]
    public void The_most_uncertain_tokens()
    {
        var entropies = Toys.Wide(4, 0, 3, 1, 2);
        Assert.Equal(2, new EntropyMask(0.5).Threshold(entropies));
        Assert.Equal(2.8, new EntropyMask(0.3).Threshold(entropies), 1e-12);
        Near([1, 0, 1, 0, 1], EntropyMask.Tokens(entropies, 2));
    }

    [Fact]
    public void Running_shift_and_baseline()
    {
        var running = new RunningMean().With(6, 3).With(-1, 1);
        Assert.Equal(new RunningMean(1.25, 4), running);
        Assert.Equal(running, running.With(0, 0));
        Assert.Equal(0, KahnemanTverskyLoss.Baseline(Toys.Wide(-1, 0.5)));
        Assert.Equal(0.75, KahnemanTverskyLoss.Baseline(Toys.Wide(1, 0.5)));
    }

    // Policy margins 3 and 1 take the reference's margins 2 and -5 by rank: 3 against 2, 1 against -5.
    [Fact]
    public void Matches_by_rank()
    {
        var pairs = new PairScores(
            new AnswerScores(Toys.Wide(3, 1), Toys.Wide(-5, 2), ones(2)), new AnswerScores(Toys.Wide(0, 0), Toys.Wide(0, 0), ones(2)));
        var (first, _) = new SortedMarginLoss(1).Match(pairs);
        Near([2, -5], first);
        static double Logistic(double x) => Math.Log(1 + Math.Exp(-x));
        Near([Logistic(1), Logistic(6)], new SortedMarginLoss(1).Each(pairs));
    }

    // p = (1/2, 1/2), q = (1/4, 3/4).
    [Fact]
    public void Divergences_of_distributions()
    {
        Tensor p = Toys.Wide(0, 0).view(1, 2), q = Toys.Wide(0, Math.Log(3)).view(1, 2);
        var forward = 0.5 * Math.Log(0.5 / 0.25) + 0.5 * Math.Log(0.5 / 0.75);
        var reverse = 0.25 * Math.Log(0.25 / 0.5) + 0.75 * Math.Log(0.75 / 0.5);
        Near([forward], new ForwardKlDistillation().Each(q, p));
        Near([reverse], new ReverseKlDistillation().Each(q, p));
        static double Kl(double a, double b) => a * Math.Log(a / b) + (1 - a) * Math.Log((1 - a) / (1 - b));
        var middle = 0.2 * 0.5 + 0.8 * 0.25;
        Near([0.2 * Kl(0.5, middle) + 0.8 * Kl(0.25, middle)], new JensenShannonDistillation(0.2).Each(q, p));
        // Temperature divides both sides' logits.
        Near(CaseNumbers.Doubles(new ReverseKlDistillation().Each(q / 3, p / 3)), new ReverseKlDistillation(3).Each(q, p));
    }
}
