using CsCheck;
using Polymath.Training.Evaluation;

namespace Polymath.Tests.Training;

/// <summary>Baselines against numbers worked by hand.</summary>
[Trait("kind", "unit")]
public sealed class BaselineTests
{
    [Fact]
    public void The_unigram_perplexity_is_add_one_smoothed()
    {
        // Counts 2, 1, 0 of three tokens: p = 3/6, 2/6, 1/6. Held out 0 and 2: sqrt(2 * 6).
        Assert.Equal(Math.Sqrt(12), UnigramBaseline.Perplexity([[0, 1], [0]], [[0], [2]], 3), 12);
        Assert.Equal(7, UnigramBaseline.Perplexity([], [[0, 3, 6]], 7), 12);
        Assert.Equal(double.NaN, UnigramBaseline.Perplexity([[0]], [[]], 3));
    }

    [Fact]
    public void The_majority_is_of_the_training_labels()
    {
        Assert.Equal("b", MajorityBaseline.Label(["a", "b", "c", "b"]));
        Assert.Equal("a", MajorityBaseline.Label(["b", "a"]));
        Assert.Equal(0.25, MajorityBaseline.Accuracy(["a", "b", "b"], ["b", "a", "a", "c"]), 12);
        Assert.Equal(double.NaN, MajorityBaseline.Accuracy(["a"], []));
        Assert.Throws<ArgumentException>(() => MajorityBaseline.Label([]));
    }

    [Theory]
    [InlineData(1, 1.0, "ac", "x")] // ln 2/3 + ln 4/7 + ln 1/7 = -2.91 against ln 1/3 + ln 1/5 + ln 3/5 = -3.22
    [InlineData(1, 1.0, "cc", "y")] // ln 2/3 + 2 ln 1/7 = -4.30 against ln 1/3 + 2 ln 3/5 = -2.12
    [InlineData(1, 1.0, "", "x")] // the priors alone: 2/3 against 1/3
    [InlineData(1, 1.0, "zzzzzz", "x")] // characters never seen say nothing
    [InlineData(1, 0.01, "ac", "y")] // ln 2/3 + ln 3.01/4.03 + ln 0.01/4.03 = -6.70 against ln 1/3 + ln 0.01/2.03 + ln 2.01/2.03 = -6.42
    [InlineData(2, 1.0, "cc", "y")]
    public void Naive_bayes_weighs_counts_as_worked_by_hand(int n, double alpha, string text, string label)
    {
        var classifier = NaiveBayes.Train([("aa", "x"), ("ab", "x"), ("cc", "y")], n, alpha);
        Assert.Equal(["x", "y"], classifier.Labels);
        Assert.Equal(label, classifier.Predict(text));
    }

    [Fact]
    public void Naive_bayes_sees_order_only_in_longer_grams_and_whole_code_points()
    {
        (string, string)[] rows = [("ab", "x"), ("ba", "y"), ("\U00020000", "z"), ("\U00020001", "w")];
        Assert.Equal(0.75, NaiveBayes.Train(rows, 1).Accuracy(rows), 12);
        Assert.Equal(1, NaiveBayes.Train(rows, 2).Accuracy(rows), 12);
        Assert.Equal(double.NaN, NaiveBayes.Train(rows, 1).Accuracy([]));
        Assert.Throws<ArgumentException>(() => NaiveBayes.Train([], 1));
    }

    [Theory]
    [InlineData(1, 4.0 / 6, "abca", "bd")]
    [InlineData(2, 3.0 / 4, "abab", "xy")] // ab ba ab, xy
    [InlineData(2, 1.0, "春，春。")] // 春， ，春 春。
    [InlineData(1, 0.5, "\U00020000\U00020000")]
    [InlineData(3, 0.0, "ab", "")]
    public void Distinct_is_the_share_of_different_grams(int n, double share, params string[] answers) =>
        Assert.Equal(share, DistinctGrams.Share(answers, n), 12);

    [Fact]
    public void Distinct_agrees_with_a_plain_count_on_any_text() =>
        Gen.String[Gen.Char["ab，"], 0, 12].List[0, 5].Select(Gen.Int[1, 4]).Sample((answers, n) =>
        {
            var grams = answers.SelectMany(text => Enumerable.Range(0, Math.Max(0, text.Length - n + 1)).Select(i => text.Substring(i, n)))
                .ToList();
            Assert.Equal(grams.Count == 0 ? 0 : (double)grams.Distinct().Count() / grams.Count, DistinctGrams.Share(answers, n), 12);
        });
}
