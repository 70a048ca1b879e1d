using Polymath.Recipes;
using Polymath.Training.Evaluation;
using Polymath.Tuning.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Answers of several stages that become one, and the shares that are found on labelled rows.</summary>
[Trait("kind", "unit")]
public sealed class EnsembleTests
{
    private static readonly double[][][] said =
    [
        [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.5, 0.4, 0.1]],
        [[0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]],
        [[0.4, 0.5, 0.1], [0.6, 0.2, 0.2], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]],
    ];

    private static readonly int[] labels = [0, 1, 2, 0];

    [Fact]
    public void Answers_are_joined_as_those_of_prompts()
    {
        using var scope = NewDisposeScope();
        var each = tensor(said.SelectMany(own => own.SelectMany(row => row)).ToArray()).view(3, 4, 3).log();
        double[] Joined(PromptsTogether together, params double[] shares) => JoinedAnswers.Of(
            each, together, shares.Length == 0 ? null : tensor(shares).log()).exp().data<double>().ToArray();
        double[] Weighed(double[] shares) => [.. Enumerable.Range(0, 4).SelectMany(row => Enumerable.Range(0, 3)
            .Select(label => Enumerable.Range(0, 3).Sum(k => shares[k] * said[k][row][label])))];
        void Near(double[] expected, double[] found) => Assert.All(
            expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        double[] mean = Weighed([1.0 / 3, 1.0 / 3, 1.0 / 3]);
        Near(mean, Joined(PromptsTogether.Mean));
        Near(Weighed([0.5, 0.3, 0.2]), Joined(PromptsTogether.Learned, 0.5, 0.3, 0.2));
        // Votes: two for the second label in the first row.
        double[] votes = [1, 2, 0, 1, 2, 0, 0, 1, 2, 2, 0, 1];
        Near([.. votes.Zip(mean, (count, share) => (count + share) / 4)], Joined(PromptsTogether.Majority));
    }

    [Fact]
    public void Shares_by_accuracy_are_in_its_ratio_and_learned_ones_make_the_right_labels_most_probable()
    {
        var rows = said.Select(own => (IReadOnlyList<IReadOnlyList<double>>)own).ToList();
        // 4, 3 and 0 of 4 rows are right; what is never right counts half a row.
        Assert.All(
            Ensemble.Shares(PromptsTogether.Accuracy, rows, labels).Zip([4 / 7.5, 3 / 7.5, 0.5 / 7.5]),
            pair => Assert.Equal(pair.Second, pair.First, 1e-12));
        var learned = Ensemble.Shares(PromptsTogether.Learned, rows, [1, 1, 2, 2]);
        Assert.Equal(1, learned.Sum(), 1e-9);
        double Likelihood(IReadOnlyList<double> shares) => new[] { 1, 1, 2, 2 }
            .Select((label, row) => Math.Log(Enumerable.Range(0, 3).Sum(k => shares[k] * said[k][row][label]))).Sum();
        // Every mixture on a fine grid is less probable.
        var best = double.NegativeInfinity;
        for (var a = 0; a <= 200; a++)
            for (var b = 0; a + b <= 200; b++)
                best = Math.Max(best, Likelihood([a / 200.0, b / 200.0, (200 - a - b) / 200.0]));
        Assert.InRange(Likelihood(learned), best - 1e-9, best + 1e-3);
        Assert.All(learned, share => Assert.True(share >= 0));
        Assert.Contains("there are none", Assert.Throws<InputException>(() => Ensemble.Shares(
            PromptsTogether.Learned, rows, [])).Message, StringComparison.Ordinal);
    }
}
