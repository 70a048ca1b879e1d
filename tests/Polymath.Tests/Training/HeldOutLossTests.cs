using Polymath.Models;
using Polymath.Tests.Models;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Evaluation;
using Polymath.Training.Objectives;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>
/// The held-out loss against numbers worked out here from the model's logits, in 64 bits: m = ΣS / ΣC over groups with the loss
/// sums S and the counts C; the standard error of this ratio is √(n/(n-1)·Σ(S - m·C)²) / ΣC (Cochran 1977, eq. 2.46).
/// </summary>
[Trait("kind", "unit")]
public sealed class HeldOutLossTests : IDisposable
{
    private readonly Tokenizer tokenizer = Toy.Letters().Tokenizer;
    private readonly LanguageModel model;

    public HeldOutLossTests() => model = Toy.Model(vocabulary: tokenizer.VocabularySize);

    public void Dispose() => model.Dispose();

    private static (double Mean, double Spread) Ratio(IReadOnlyList<(double Sum, double Count)> groups)
    {
        double count = groups.Sum(group => group.Count), mean = groups.Sum(group => group.Sum) / count, n = groups.Count;
        return (mean, Math.Sqrt(n / (n - 1) * groups.Sum(group => Math.Pow(group.Sum - mean * group.Count, 2))) / count);
    }

    // log p of each token after the first, given those before it.
    private double[] LogProbabilities(TokenRow row)
    {
        var logits = Toy.Logits(model, row.Ids).Chunk(tokenizer.VocabularySize).ToList();
        return [.. Enumerable.Range(0, row.Length - 1).Select(place => Log(logits[place], row.Ids[place + 1]))];
    }

    private static double Log(IEnumerable<float> logits, int chosen)
    {
        var scores = logits.Select(score => (double)score).ToArray();
        return scores[chosen] - Math.Log(scores.Sum(Math.Exp));
    }

    private static double Learned(TokenRow row, double[] log) => log.Zip(row.Learn.Skip(1), (one, weight) => one * weight).Sum();

    private void Measures((double Mean, double Spread) expected, Objective objective, IReadOnlyList<Item> items)
    {
        var (mean, spread) = new HeldOutLoss(objective, items).Measure(model, TestContext.Current.CancellationToken);
        Assert.Equal(expected.Mean, mean, 1e-4);
        Assert.Equal(expected.Spread, spread, 1e-4);
        Assert.True(spread > 1e-3);
    }

    [Fact]
    public void Of_next_tokens_it_is_weighted_by_targets()
    {
        // So few rows are a group each, and half of them learn only their later half.
        var rows = Toy.Rows(9, 12, 7, 10, 14);
        Measures(
            Ratio([.. rows.Select(row => (-Learned(row, LogProbabilities(row)), row.Learn.Skip(1).Sum(weight => (double)weight)))]),
            new NextToken(),
            [.. rows.Select(row => new Item([row]))]);
    }

    [Fact]
    public void Of_labels_every_row_counts_once()
    {
        using var verbalizer = TaskWords.Of(["a", "b", "c"], null, tokenizer).Verbalizer();
        var items = Toy.Rows(6, 9, 7, 8).Select((row, i) => new LabelItem([row], i % 3)).ToList();
        double Loss(LabelItem item)
        {
            var last = Toy.Logits(model, item.Rows[0].Ids).TakeLast(tokenizer.VocabularySize).ToArray();
            return -Log(verbalizer.Table.Tokens.Select(token => last[token]), item.Label);
        }
        Measures(Ratio([.. items.Select(item => (Loss(item), 1.0))]), new AskedLabels((one, batch, rows) =>
            new WordLabels(verbalizer).Scores(AskedStates.At(one, batch, rows)).log_softmax(-1)), items);
    }

    [Fact]
    public void Of_pairs_every_pair_counts_once()
    {
        const double Beta = 0.3;
        var items = Enumerable.Range(0, 4)
            .Select(i => new PairItem([Toy.Row(8 + i, i, half: true), Toy.Row(9, i + 5, half: true)], [-20 - i, -22 + 3 * i])).ToList();
        double Loss(PairItem item)
        {
            var ratios = item.Rows.Select((row, side) => Learned(row, LogProbabilities(row)) - item.Reference[side]).ToArray();
            return Math.Log(1 + Math.Exp(-Beta * (ratios[0] - ratios[1])));
        }
        Measures(Ratio([.. items.Select(item => (Loss(item), 1.0))]), Toy.Dpo(Beta, 0), items);
    }

    [Fact]
    public void Many_rows_are_measured_in_groups_of_a_sixteenth_and_one_group_has_no_error()
    {
        // 64 rows of 6 tokens: 16 groups of 4 rows. Sums 1 and 3 over counts 4 take turns: m = 1/2, and 16/15·16·1 / 64² = 1/240.
        var items = Enumerable.Range(0, 64).Select(i => new LabelItem([Toy.Row(6, i)], i / 4 % 2 == 0 ? 1 : 3)).ToList();
        var (mean, spread) = new HeldOutLoss(new Told(), items).Measure(model, TestContext.Current.CancellationToken);
        Assert.Equal(0.5, mean, 1e-9);
        Assert.Equal(Math.Sqrt(1.0 / 240), spread, 1e-9);
        var one = new HeldOutLoss(new Told(), items[..1]).Measure(model, TestContext.Current.CancellationToken);
        Assert.Equal((0.25, double.NaN), one);
    }

    [Fact]
    public void A_group_that_counts_more_weighs_more()
    {
        // S = 1, 6 over C = 1, 3: m = 7/4; residuals -3/4 and 3/4, so √(2·18/16)/4 = 3/8.
        var items = new[] { (1, 1), (6, 3) }.Select((told, i) => new PairItem([Toy.Row(6, i)], [told.Item1, told.Item2])).ToList();
        Assert.Equal((1.75, 0.375), new HeldOutLoss(new Weighed(), items).Measure(model, TestContext.Current.CancellationToken));
    }

    [Fact]
    public void It_can_be_stopped_between_groups()
    {
        using var stop = new CancellationTokenSource();
        var items = Enumerable.Range(0, 64).Select(i => new LabelItem([Toy.Row(6, i)], -1)).ToList();
        var groups = new Told(stop.Cancel);
        Assert.Throws<OperationCanceledException>(() => new HeldOutLoss(groups, items).Measure(model, stop.Token));
        Assert.Equal(1, groups.Asked);
    }

    // A group's loss is its first item's label; every item counts once.
    private sealed class Told(Action? asked = null) : Objective
    {
        internal int Asked { get; private set; }

        public override Score Evaluate(
            LanguageModel model,
            Batch batch,
            IReadOnlyList<Item> items,
            StepCounts step)
        {
            Asked++;
            asked?.Invoke();
            return new Score(tensor((float)((LabelItem)items[0]).Label), Math.Max(4, items.Count));
        }
    }

    private sealed class Weighed : Objective
    {
        public override Score Evaluate(
            LanguageModel model,
            Batch batch,
            IReadOnlyList<Item> items,
            StepCounts step) =>
            new(tensor(((PairItem)items[0]).Reference[0]), ((PairItem)items[0]).Reference[1]);
    }
}
