using Polymath.Models;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Direct preference optimization against numbers that were computed separately.</summary>
[Trait("kind", "unit")]
public sealed class PreferenceTests
{
    [Theory]
    [InlineData(new[] { 0f }, 0.1, 0.693147180559945)]
    [InlineData(new[] { 10f }, 0.1, 0.313261687518223)]
    [InlineData(new[] { -10f }, 0.1, 1.31326168751822)]
    [InlineData(new[] { 1f, -2f, 0f }, 0.5, 0.474076984180107 + 1.31326168751822 + 0.693147180559945)]
    [InlineData(new[] { 1000f }, 1, 0)]
    [InlineData(new[] { -1000f }, 1, 1000)]
    public void The_loss_is_the_one_worked_out_by_hand(float[] margins, double beta, double loss)
    {
        using var scope = NewDisposeScope();
        Assert.Equal(loss, new SigmoidLoss(beta).Of(tensor(margins)).sum().item<float>(), 1e-5);
    }

    [Fact]
    public void The_gradient_is_that_of_the_formula()
    {
        using var scope = NewDisposeScope();
        const double Beta = 0.3;
        var margins = Samples.Normal("margins", 40) * 5;
        var leaf = margins.clone().requires_grad_(true);
        new SigmoidLoss(Beta).Of(leaf).sum().backward();
        var values = Array.ConvertAll(Samples.Floats(margins), x => (double)x);
        static double Formula(double[] at) => at.Sum(margin => Math.Log(1 + Math.Exp(-Beta * margin)));
        Samples.NearSlopes(Samples.Slopes(Formula, values), leaf.grad!, "margins");
        Assert.Equal(Formula(values), new SigmoidLoss(Beta).Of(margins).sum().item<float>(), 1e-3);
        var exact = values.Select(margin => (float)(-Beta / (1 + Math.Exp(Beta * margin)))).ToArray();
        Assert.True(Samples.Gap(exact, Samples.Floats(leaf.grad!)) < 1e-6);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.7)]
    public void A_batch_of_pairs_has_the_loss_and_figures_of_its_rows(double answerWeight)
    {
        using var model = Toy.Model();
        using var scope = NewDisposeScope();
        const double Beta = 0.4;
        var items = Enumerable.Range(0, 3)
            .Select(i => new PairItem([Toy.Row(8 + i, i, half: true), Toy.Row(9 + i, i + 5, half: true)], [-20 - i, -22f])).ToList();
        using var batch = Batch.Of([.. items.SelectMany(item => item.Rows)]);
        var score = new RankedPairs(new SigmoidLoss(Beta), null, Beta, answerWeight: answerWeight).Evaluate(
            model,
            batch,
            items,
            Objective.CountsOf(items));
        double loss = 0, margins = 0, right = 0;
        foreach (var item in items)
        {
            var sums = item.Rows.Select(row =>
            {
                using var one = Batch.Of([row]);
                return (double)model.LogProbabilities(one).sum().item<float>();
            }).ToArray();
            var margin = sums[0] - item.Reference[0] - (sums[1] - item.Reference[1]);
            loss += Math.Log(1 + Math.Exp(-Beta * margin)) - answerWeight * sums[0] / item.Rows[0].Targets;
            margins += Beta * margin;
            right += margin > 0 ? 1 : 0;
        }
        Assert.Equal(loss, score.Loss.item<float>(), 1e-4);
        Assert.Equal(margins, score.Metrics!["margin"], 1e-3);
        Assert.Equal((right, 3.0), (score.Metrics["accuracy"], score.Count));
    }

    [Fact]
    public void At_the_reference_the_loss_is_that_of_a_coin_and_the_step_favours_the_chosen_answer()
    {
        using var toy = new ToyTraining(
            new Polymath.Recipes.FullMethod(), objective: Toy.Dpo(0.1, 0), items: [Pair(Reference())], tokens: 999);
        PairItem Pair(float[] reference) => new([Toy.Row(8, 1, half: true), Toy.Row(9, 2, half: true)], reference);
        float[] Reference()
        {
            using var model = Toy.Model();
            using var scope = NewDisposeScope();
            using var frozen = no_grad();
            using var batch = Batch.Of(Pair([]).Rows);
            return Samples.Floats(RankedPairs.RowSums(model, batch));
        }
        var reports = toy.Train(1, 10);
        Assert.Equal(Math.Log(2), reports[0].Loss, 1e-5);
        Assert.Equal(0, reports[0].Metrics["margin"], 1e-4);
        Assert.True(reports[^1].Loss < 0.5 && reports[^1].Metrics["accuracy"] == 1);
    }
}
