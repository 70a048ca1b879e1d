using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Gradients against central differences, in double precision.</summary>
[Trait("suite", "align")]
[Trait("kind", "unit")]
public sealed class GradientTests : IDisposable
{
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();
    private readonly double[] logs = Toys.Logs("policy", Toys.Tokens);

    public void Dispose() => scope.Dispose();

    public static TheoryData<string, string> PairLosses => new(Toys.Preferences.Keys.Select(loss => (loss, "reverse")).Concat(
        Toys.Shapes.Keys.Skip(1).SelectMany(shape => new[] { ("sigmoid", shape), ("identity", shape), ("down", shape) })));

    [Theory]
    [MemberData(nameof(PairLosses))]
    public void Of_pairs(string loss, string shape) => Toys.Holds(
        x => Toys.Preferences[loss].Sum(Toys.Pairs(x, Toys.Lengths, Toys.Shapes[shape]), new StepCounts(4, 9)), logs);

    [Fact]
    public void Of_pairs_whose_longer_part_weighs_less() => Toys.Holds(
        x => new SigmoidLoss(0.3).Each(PairScores.OfTurns(AnswerScores.Of(PairWeights.Desensitized(Values(x), 0.4)))).sum(), logs);

    public static TheoryData<string, string> PolicyLosses =>
        new(Toys.Smooth.Keys.SelectMany(loss => Toys.Averages.Keys.Select(average => (loss, average))));

    [Theory]
    [MemberData(nameof(PolicyLosses))]
    public void Of_policies(string loss, string average) => Toys.Holds(
        x =>
        {
            var tokens = Toys.Sampled(x, Toys.Lengths);
            return Toys.Averages[average].Share(Toys.Smooth[loss].Each(tokens), tokens.Rows, StepCounts.Of(tokens.Rows));
        },
        logs);

    [Theory]
    [InlineData(KlKind.K1)]
    [InlineData(KlKind.K2)]
    [InlineData(KlKind.K3)]
    public void Of_divergence_by_token(KlKind kind) =>
        Toys.Holds(x => KlEstimate.Each(kind, x, Toys.Wide(Toys.Logs("reference", Toys.Tokens))).sum(), logs);

    [Fact]
    public void Of_single_answers()
    {
        var good = tensor(new[] { true, false, true, true, false, false, true, false });
        foreach (var loss in new UnpairedLoss[]
            { new KahnemanTverskyLoss(0.3, 1.5, 0.7), new UnpairedZeroLoss(0.3, 1.5, 0.7), new BinaryLoss(0.3) })
            Toys.Holds(x => loss.Sum(Values(x).Sums() + 12, good, 0.4, 8), logs);
    }

    [Fact]
    public void Of_ranks() => Toys.Holds(
        x => new RankLoss(0.3).Each(AnswerScores.Of(Values(x)), [1, 0, 3, 2, 0.5, 4, 2.5, 1], [3, 5]).sum(), logs);

    [Fact]
    public void Of_whole_rows() => Toys.Holds(
        x => new LeaveOneOutLoss(0.2, 0.3)
            .Each(Values(x), Toys.Wide(Toys.Logs("old", Toys.Tokens)), Toys.Wide(Samples.Numbers("advantages", 8))).sum(),
        logs);

    [Fact]
    public void Of_values() => Toys.Holds(
        x => new ValueLoss(0.2)
            .Each(x, Toys.Wide(Toys.Logs("old", Toys.Tokens)), Toys.Wide(Toys.Logs("returns", Toys.Tokens))).sum(),
        logs);

    [Fact]
    public void Of_rewards() => Toys.Holds(
        x => new BradleyTerry(0.1).Each(x.narrow(0, 0, 8), x.narrow(0, 8, 8), Toys.Wide([.. Samples.Numbers("margins", 8)])).sum()
            + ProcessReward.Each(x, x.detach().lt(-1.5).to(ScalarType.Float64)).sum()
            + ProcessReward.OfLabels(x.narrow(0, 0, 8).view(4, 2), tensor(new long[] { 0, 1, 1, 0 })).sum(),
        logs);

    [Fact]
    public void Of_distillation()
    {
        var teacher = Toys.Wide(Samples.Numbers("teacher", 20)).view(4, 5);
        foreach (var loss in new DistillationLoss[]
            { new ForwardKlDistillation(0.7), new ReverseKlDistillation(2), new JensenShannonDistillation(0.3, 0.9) })
            Toys.Holds(x => loss.Sum(x.view(4, 5), teacher, 4), Samples.Numbers("student", 20));
    }

    [Fact]
    public void Of_whole_distributions() => Toys.Holds(
        x => TokenLogits.LogProbabilities(x.view(4, 5), tensor(new long[] { 0, 4, 2, 1 }), 0.7).sum()
            + TokenLogits.Entropies(x.view(4, 5), 1.3).sum()
            + TokenLogits.LogCollisions(x.view(4, 5)).sum()
            + new EntropyBonus(0.2).Share(TokenLogits.Entropies(x.view(4, 5)), 9),
        Samples.Numbers("student", 20));

    // Losses that weigh log-probabilities with something held constant.
    [Fact]
    public void Of_weighted_log_probabilities()
    {
        var fixedTokens = Toys.Sampled(Toys.Wide(logs), Toys.Lengths);
        double[] advantages = CaseNumbers.Doubles(fixedTokens.Advantages),
            ratios = CaseNumbers.Doubles(fixedTokens.Ratios(RatioLevel.Token)),
            phi = CaseNumbers.Doubles(new GammaWeightLoss().Weights(fixedTokens));
        double[] Gradient(PolicyLoss loss) => Toys.Slope(x => loss.Each(Toys.Sampled(x, Toys.Lengths)).sum(), logs).Gradient;
        Near(Gradient(new CappedWeightLoss(1.1)), i => -Math.Min(ratios[i], 1.1) * advantages[i]);
        Near(Gradient(new GammaWeightLoss()), i => -phi[i] * advantages[i]);
        Near(Toys.Slope(x => new DynamicFineTuning().Sum(x, 5), logs).Gradient, i => -Math.Exp(logs[i]) / 5);
        // The value of the sequence, the gradient of the token.
        var wide = new ClippedLoss(0.9, 9, RatioLevel.SequenceToken);
        var sequence = CaseNumbers.Doubles(fixedTokens.Ratios(RatioLevel.Sequence));
        Near(CaseNumbers.Doubles(wide.Each(fixedTokens)), i => -sequence[i] * advantages[i]);
        Near(Gradient(wide), i => -sequence[i] * advantages[i]);
    }

    private static void Near(double[] ours, Func<int, double> formula)
    {
        for (var i = 0; i < ours.Length; i++) Assert.Equal(formula(i), ours[i], 1e-10);
    }

    private static TokenValues Values(Tensor each) => new(each, new RowLayout(Toys.Lengths));
}
