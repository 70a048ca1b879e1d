using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using TorchSharp;

namespace Polymath.Tests.Training;

/// <summary>The step: its division into passes, its counts, and a loss that is not a number.</summary>
[Trait("kind", "invariant")]
public sealed class LoopTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(13)]
    [InlineData(30)]
    public void One_pass_of_eight_rows_is_eight_passes_of_one(int microTokens)
    {
        using ToyTraining whole = new(new FullMethod(), tokens: 68), cut = new(new FullMethod(), microTokens, tokens: 68);
        var one = whole.Train(1, 4);
        var many = cut.Train(1, 4);
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal(one[i].Loss, many[i].Loss, 1e-5);
            Assert.Equal(one[i].GradientNorm, many[i].GradientNorm, 1e-4);
            Assert.Equal((one[i].Step, one[i].Tokens), (many[i].Step, many[i].Tokens));
        }
        Assert.Equal(68, one[0].Tokens);
        Assert.All(whole.Model.Weights.Zip(cut.Model.Weights), pair => Assert.True(
            Samples.Gap(Samples.Floats(pair.First.Value), Samples.Floats(pair.Second.Value)) < Samples.Ulps(256), pair.First.Name));
    }

    [Fact]
    public void Training_learns_its_rows()
    {
        using var toy = new ToyTraining(new FullMethod());
        var reports = toy.Train(1, 60);
        Assert.True(reports[0].Loss > 3, $"{reports[0].Loss}");
        Assert.True(reports[^1].Loss < 0.5, $"{reports[^1].Loss}");
    }

    [Fact]
    public void The_gradient_is_clipped_to_its_greatest_norm()
    {
        using ToyTraining free = new(new FullMethod(), clip: 0),
            loose = new(new FullMethod(), clip: 1e9),
            tight = new(new FullMethod(), clip: 1e-9);
        var start = Toy.Values(free.Model.Weights);
        var norms = new[] { free, loose, tight }.Select(toy => toy.Train(1, 1)[0].GradientNorm).ToList();
        Assert.Equal(norms[0], norms[2]);
        foreach (var weight in free.Model.Weights)
            Assert.Equal(Samples.Floats(weight.Value), Toy.Values(loose.Model.Weights)[weight.Name]);
        // With such strong clipping, epsilon outweighs the gradient and the changes are invisible.
        foreach (var weight in tight.Model.Weights)
            Assert.True(Samples.Gap(start[weight.Name], Samples.Floats(weight.Value)) < 1e-5);
    }

    [Fact]
    public void A_loss_that_is_no_number_is_told_with_step_and_rows_and_moves_nothing()
    {
        using var toy = new ToyTraining(new FullMethod(), microTokens: 20);
        toy.Train(1, 2);
        toy.Model.Weights[3].Value.detach().view(-1)[5] = float.NaN;
        var before = Toy.Values(toy.Model.Weights);
        var thrown = Assert.Throws<RunFailedException>(() => toy.Train(3, 3));
        Assert.Contains("Step 3 gave the loss NaN", thrown.Message);
        Assert.Matches("holds [0-9]+ rows: row [0-9], row [0-9]", thrown.Message);
        Assert.Contains("not updated", thrown.Message);
        Assert.All(toy.Model.Weights, weight => Assert.Equal(before[weight.Name], Samples.Floats(weight.Value)));
    }

    [Fact]
    public void The_loss_is_the_mean_over_targets_not_over_rows()
    {
        using var toy = new ToyTraining(
            new FullMethod(), items: [new Item([Toy.Row(3)]), new Item([Toy.Row(20, 1, half: true)])], tokens: 23);
        double Loss(int length, int number, bool half)
        {
            using var scope = torch.NewDisposeScope();
            using var batch = Polymath.Models.Batch.Of([Toy.Row(length, number, half)]);
            return toy.Model.NegativeLogLikelihood(batch).item<float>();
        }
        Assert.Equal((Loss(3, 0, false) + Loss(20, 1, true)) / (2 + 10), toy.Train(1, 1)[0].Loss, 1e-5);
    }
}
