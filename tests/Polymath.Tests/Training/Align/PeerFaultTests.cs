using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>Where TRL 1.10's number is a fault: ours is the one of the formula, and no setting is without effect.</summary>
[Trait("suite", "align")]
[Trait("kind", "unit")]
public sealed class PeerFaultTests : IDisposable
{
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();

    public void Dispose() => scope.Dispose();

    // TRL's mean over rows runs over padded places when ratios are by token or KL is added.
    [Fact]
    public void The_sum_of_rows_does_not_know_how_long_other_rows_are()
    {
        var step = new StepCounts(2, 5);
        double Share(params int[] lengths) =>
            new RowSums().Share(ones(lengths.Sum(), dtype: ScalarType.Float64), new RowLayout(lengths), step).item<double>();
        Assert.Equal(Share(2, 3), Share(2) + Share(3));
        Assert.Equal(2.5, Share(2, 3));
    }

    // TRL's GKD reads its temperature only for sampling.
    [Fact]
    public void Distillation_uses_its_temperature()
    {
        Tensor student = Toys.Wide(1, 2, 3).view(1, 3), teacher = Toys.Wide(3, 1, 1).view(1, 3);
        Assert.NotEqual(
            new JensenShannonDistillation(0.5).Each(student, teacher).item<double>(),
            new JensenShannonDistillation(0.5, 0.9).Each(student, teacher).item<double>());
    }

    // TRL's default caps every ratio at 0.2, the distance from 1 of other losses.
    [Fact]
    public void A_cap_on_ratios_is_named_and_leaves_a_ratio_of_one_alone()
    {
        var tokens = Toys.Sampled(Toys.Wide(Toys.Logs("old", Toys.Tokens)), Toys.Lengths);
        Assert.Equal(
            CaseNumbers.Doubles((tokens.Advantages * tokens.Policy.Each).neg()),
            CaseNumbers.Doubles(new CappedWeightLoss(1.28).Each(tokens)));
    }

    // TRL raises an error for it.
    [Fact]
    public void Weights_of_pairs_apply_to_the_likelihood_of_answers_too()
    {
        var pairs = new PairScores(
            new AnswerScores(Toys.Wide(-2, -4), null, ones(2)), new AnswerScores(Toys.Wide(-3, -3), null, ones(2)));
        var loss = new ChosenLikelihood().Sum(pairs, new StepCounts(2, 6), Toys.Wide(0.5, 0.25));
        Assert.Equal((2 * 0.5 + 4 * 0.25) / 6, loss.item<double>(), 1e-12);
    }

    // TRL adds up the log-probabilities of padding in online DPO's divergence: more rows beside a row changed its number.
    [Fact]
    public void Divergence_of_a_row_is_that_of_its_own_tokens()
    {
        using var models = new AlignModels();
        TokenRow[] rows = [AlignModels.Row([5, 6, 7], [8, 9, 2]), AlignModels.Row([5, 6], [11, 12, 13, 14, 15, 16, 2])];
        Tensor Of(params TokenRow[] some)
        {
            var (policy, reference) = (models.Frozen(models.Policy, some), models.Frozen(models.Reference, some));
            return policy.Rows.Sums(KlEstimate.Each(KlKind.K1, policy.Each, reference.Each));
        }
        var together = CaseNumbers.Doubles(Of(rows));
        Assert.Equal(together[0], Of(rows[0]).item<float>(), 1e-4);
        Assert.Equal(together[1], Of(rows[1]).item<float>(), 1e-4);
    }

    // TRL's label smoothing of `sigmoid` has no effect in DPO; ours is conservative DPO.
    [Fact]
    public void Smoothing_has_an_effect()
    {
        var margins = Toys.Wide(1.5);
        Assert.Equal(
            0.9 * Math.Log(1 + Math.Exp(-1.5)) + 0.1 * Math.Log(1 + Math.Exp(1.5)),
            new SigmoidLoss(1, 0.1).Of(margins).item<double>(),
            1e-12);
    }
}
