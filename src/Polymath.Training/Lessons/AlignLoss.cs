using Polymath.Recipes;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Rollouts;

namespace Polymath.Training.Lessons;

/// <summary>The formulas that an align stage names.</summary>
internal static class AlignLoss
{
    /// <summary>The objective.</summary>
    /// <param name="align">The stage's settings.</param>
    internal static Objective Of(AlignSpec align) => align.Loss switch
    {
        DpoSpec dpo => new RankedPairs(
            Of(dpo),
            Shape(dpo),
            dpo.Beta,
            dpo.LengthWeight,
            dpo.AnswerWeight),
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
        KtoSpec kto => new JudgedAnswers(
            kto.Loss == KtoLoss.Kto
                ? new KahnemanTverskyLoss(kto.Beta, kto.GoodWeight, kto.BadWeight)
                : new UnpairedZeroLoss(kto.Beta, kto.GoodWeight, kto.BadWeight),
            kto.Beta,
            kto.Loss == KtoLoss.Kto),
        GrpoSpec grpo => new SampledAnswers(
            new ClippedLoss(grpo.ClipLow, grpo.ClipHigh, grpo.Ratio == RatioOver.Token ? RatioLevel.Token : RatioLevel.Sequence),
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
    internal static Estimator Estimator(AlignSpec align) => align.Loss.LearnsAnswers
        ? new GroupRelative(align.Loss, align.Rollout!.Temperature)
        : new BestAndWorst(align.Loss.HasReference, LengthWeight(align));

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
