using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Rollouts;

namespace Polymath.Training.Lessons;

/// <summary>The formulas that an align stage names.</summary>
internal static class AlignLoss
{
    // TRL's cap of CISPO's weights.
    private const double UsualCap = 5;

    // TRL's margin of TPO-L.
    private const double UsualMargin = 0.5;

    /// <summary>The objective.</summary>
    /// <param name="align">The stage's settings.</param>
    internal static Objective Of(AlignSpec align) => align.Loss switch
    {
        DpoSpec dpo => new RankedPairs(
            Of(dpo),
            Shape(dpo),
            dpo.Beta,
            dpo.LengthWeight,
            dpo.AnswerWeight,
            dpo.OnPolicyWeights),
        SimPoSpec simpo => new RankedPairs(
            new SimPoLoss(simpo.Beta, simpo.Gamma, simpo.Alpha),
            null,
            simpo.Beta,
            answerWeight: simpo.AnswerWeight),
        CpoSpec cpo => new RankedPairs(
            new SigmoidLoss(cpo.Beta, cpo.LabelSmoothing),
            null,
            cpo.Beta,
            answerWeight: cpo.AnswerWeight),
        OrpoSpec orpo => new RankedPairs(
            new OddsLoss(orpo.Beta),
            null,
            orpo.Beta,
            answerWeight: orpo.AnswerWeight),
        TpoSpec tpo => new GoldPairs(Of(tpo), tpo.Beta, tpo.Alpha),
        KtoSpec kto => new JudgedAnswers(
            kto.Loss == KtoLoss.Kto
                ? new KahnemanTverskyLoss(kto.Beta, kto.GoodWeight, kto.BadWeight)
                : new UnpairedZeroLoss(kto.Beta, kto.GoodWeight, kto.BadWeight),
            kto.Beta,
            kto.Loss == KtoLoss.Kto),
        BcoSpec bco => new JudgedAnswers(new BinaryLoss(bco.Beta), bco.Beta, hasBaseline: false),
        RrhfSpec rrhf => new RankedAnswers(new RankLoss(rrhf.BestWeight)),
        BestSpec => new NextToken(),
        ReinforceSpec reinforce => new SampledAnswers(
            new ClippedLoss(reinforce.ClipLow, reinforce.ClipHigh),
            new AllTokens(),
            0,
            align.Rollout!.Temperature),
        GrpoSpec grpo => new SampledAnswers(
            Of(grpo),
            Average(grpo.Mean, align.Rollout!.MaxNewTokens),
            grpo.KlWeight,
            align.Rollout.Temperature),
        RlooSpec rloo => new SampledAnswers(
            new WholeAnswers(new LeaveOneOutLoss(rloo.ClipLow, rloo.ClipHigh)),
            new RowMeans(),
            0,
            align.Rollout!.Temperature),
        var other => throw new InvalidOperationException($"The loss {other.Kind} has no formula."),
    };

    /// <summary>What is learned from the answers of a rollout.</summary>
    /// <param name="align">The stage's settings.</param>
    internal static Estimator Estimator(AlignSpec align) => align.Loss switch
    {
        GrpoSpec or RlooSpec => new GroupRelative(align.Loss, align.Rollout!.Temperature),
        ReinforceSpec reinforce => new RewardToGo(reinforce, align.Rollout!.Temperature),
        RrhfSpec => new WholeGroups(),
        BestSpec best => new BestOfEach(best.Least),
        DistillSpec => new EveryAnswer(),
        _ => new BestAndWorst(align.Loss.HasReference, LengthWeight(align)),
    };

    /// <summary>The divergence of distillation.</summary>
    /// <param name="distill">The settings.</param>
    internal static DistillationLoss Of(DistillSpec distill) => distill.Divergence switch
    {
        DistillBy.Forward => new ForwardKlDistillation(distill.Temperature),
        DistillBy.Reverse => new ReverseKlDistillation(distill.Temperature),
        _ => new JensenShannonDistillation(distill.Beta, distill.Temperature),
    };

    private static PolicyLoss Of(GrpoSpec grpo)
    {
        var level = grpo.Ratio == RatioOver.Token ? RatioLevel.Token : RatioLevel.Sequence;
        return grpo.Loss switch
        {
            GroupLoss.Cispo => new CappedWeightLoss(grpo.MostRatio ?? UsualCap, level),
            GroupLoss.Gmpo => new GeometricLoss(grpo.ClipLow, grpo.ClipHigh),
            GroupLoss.Sapo => new SoftGateLoss(Over: level),
            GroupLoss.Vespo => new GammaWeightLoss(),
            _ => new ClippedLoss(grpo.ClipLow, grpo.ClipHigh, level, grpo.MostRatio),
        };
    }

    /// <summary>The weight of the tokens behind a pair's common length.</summary>
    /// <param name="align">The stage's settings.</param>
    internal static double LengthWeight(AlignSpec align) => (align.Loss as DpoSpec)?.LengthWeight ?? 1;

    private static PreferenceLoss Of(DpoSpec dpo) => dpo.Loss switch
    {
        DpoLoss.Sigmoid => new SigmoidLoss(dpo.Beta, dpo.LabelSmoothing),
        DpoLoss.SigmoidNorm => new MeanSigmoidLoss(dpo.Beta),
        DpoLoss.Hinge => new HingeLoss(dpo.Beta),
        DpoLoss.Ipo => new IdentityLoss(dpo.Beta),
        DpoLoss.Robust => new RobustLoss(dpo.Beta, dpo.LabelSmoothing),
        DpoLoss.ExoPair => new ExactLoss(dpo.Beta, dpo.LabelSmoothing),
        DpoLoss.NcaPair => new NoiseContrastiveLoss(dpo.Beta),
        DpoLoss.BcoPair => new BinaryPairLoss(dpo.Beta),
        DpoLoss.SppoHard => new SelfPlayLoss(dpo.Beta),
        DpoLoss.Aot => new SortedMarginLoss(dpo.Beta, dpo.LabelSmoothing),
        DpoLoss.AotUnpaired => new SortedAnswerLoss(dpo.Beta, dpo.LabelSmoothing),
        DpoLoss.ApoZero => new AnchoredZeroLoss(dpo.Beta),
        DpoLoss.ApoDown => new AnchoredDownLoss(dpo.Beta),
        DpoLoss.Discopop => new DiscoPopLoss(dpo.Beta),
        _ => throw new InvalidOperationException($"The loss {dpo.Loss} has no formula."),
    };

    private static PreferenceLoss Of(TpoSpec tpo) => tpo.Loss switch
    {
        TpoLoss.Hinge => new HingeLoss(tpo.Beta),
        TpoLoss.Ipo => new IdentityLoss(tpo.Beta),
        TpoLoss.TpoL => new SimPoLoss(tpo.Beta, tpo.Gamma ?? UsualMargin, Smoothing: tpo.LabelSmoothing),
        _ => new SigmoidLoss(tpo.Beta, tpo.LabelSmoothing),
    };

    private static ScoreShape? Shape(DpoSpec dpo) => dpo.Divergence switch
    {
        ScoreDivergence.ForwardKl => new ForwardKl(),
        ScoreDivergence.JensenShannon => new JensenShannon(),
        ScoreDivergence.Alpha => new AlphaDivergence(dpo.Alpha),
        _ => null,
    };

    private static TokenAverage Average(TokenMean mean, int most) => mean switch
    {
        TokenMean.Tokens => new AllTokens(),
        TokenMean.Rows => new RowMeans(),
        _ => new FixedLength(most),
    };
}
