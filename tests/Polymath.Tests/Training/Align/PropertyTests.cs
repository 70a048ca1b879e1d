using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Distillation;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Training.Align;

/// <summary>What must hold whatever the numbers are.</summary>
[Trait("suite", "align")]
[Trait("kind", "invariant")]
public sealed class PropertyTests : IDisposable
{
    private readonly TorchSharp.DisposeScope scope = NewDisposeScope();
    private readonly double[] logs = Toys.Logs("policy", Toys.Tokens);

    public void Dispose() => scope.Dispose();

    public static TheoryData<string> PairLosses => [.. Toys.Preferences.Keys];

    public static TheoryData<string, string> PolicyLosses =>
        new(Toys.Policies.Keys.SelectMany(loss => Toys.Averages.Keys.Select(average => (loss, average))));

    private static void Same((double Value, double[] Gradient) one, (double Value, double[] Gradient) other)
    {
        Assert.Equal(one.Value, other.Value, 1e-10);
        foreach (var (a, b) in one.Gradient.Zip(other.Gradient)) Assert.Equal(a, b, 1e-10);
    }

    [Theory]
    [MemberData(nameof(PairLosses))]
    public void Pairs_packed_together_or_one_by_one_have_the_same_loss_and_gradient(string name)
    {
        var loss = Toys.Preferences[name];
        var step = new StepCounts(4, Toys.Lengths.Where((_, row) => row % 2 == 0).Sum());
        var all = Toys.Pairs(Toys.Wide(logs), Toys.Lengths);
        Tensor One(Tensor x, int row)
        {
            var lengths = Toys.Lengths[row..(row + 2)];
            var pairs = Toys.Pairs(x.narrow(0, Toys.Lengths.Take(row).Sum(), lengths.Sum()), lengths, first: row);
            return (loss.NeedsStep ? loss.Within(all, row / 2, 1) : loss).Sum(pairs, step);
        }
        Same(
            Toys.Slope(x => loss.Sum(Toys.Pairs(x, Toys.Lengths), step), logs),
            Toys.Slope(x => new[] { 0, 2, 4, 6 }.Select(row => One(x, row)).Aggregate((a, b) => a + b), logs));
    }

    [Theory]
    [MemberData(nameof(PolicyLosses))]
    public void Rows_packed_together_or_one_by_one_have_the_same_loss_and_gradient(string name, string average)
    {
        var step = new StepCounts(8, Toys.Tokens);
        Tensor Share(Tensor x, int first, int count)
        {
            var lengths = Toys.Lengths[first..(first + count)];
            var tokens = Toys.Sampled(x.narrow(0, Toys.Lengths.Take(first).Sum(), lengths.Sum()), lengths, first);
            return Toys.Averages[average].Share(Toys.Policies[name].Each(tokens), tokens.Rows, step);
        }
        Same(
            Toys.Slope(x => Share(x, 0, 8), logs),
            Toys.Slope(x => Enumerable.Range(0, 8).Select(row => Share(x, row, 1)).Aggregate((a, b) => a + b), logs));
    }

    [Fact]
    public void At_the_reference_DPO_is_a_coin_and_pulls_with_half_of_beta()
    {
        const double Beta = 0.4;
        var (value, gradient) = Toys.Slope(
            x => new SigmoidLoss(Beta).Each(new PairScores(Answer(x.narrow(0, 0, 1)), Answer(x.narrow(0, 1, 1)))).sum(), [-7, -7]);
        Assert.Equal(Math.Log(2), value, 1e-12);
        Assert.Equal(new[] { -Beta / 2, Beta / 2 }, gradient, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    private static AnswerScores Answer(Tensor policy) => new(policy, Toys.Wide(-7), Toys.Wide(3));

    [Theory]
    [MemberData(nameof(PolicyLosses))]
    public void Equal_rewards_give_no_gradient(string name, string average)
    {
        int[] groups = [0, 0, 0, 1, 1, 1, 2, 2];
        double[][] rewards = [.. groups.Select(group => new[] { group * 0.7, 1 })];
        var table = new RewardTable(rewards, [1, 0.3]);
        foreach (var advantages in new[]
        {
            GroupAdvantages.Of(table, groups),
            GroupAdvantages.Of(table, groups, RewardScale.Step),
            GroupAdvantages.Of(table, groups, RewardScale.None),
            GroupAdvantages.OfEach(table, groups),
            GroupAdvantages.LeaveOneOut(table.Totals(), groups, normalize: true),
        })
        {
            Assert.All(advantages, advantage => Assert.Equal(0, advantage, 1e-12));
            var (_, gradient) = Toys.Slope(
                x =>
                {
                    var tokens = Toys.Sampled(x, Toys.Lengths);
                    tokens = tokens with { Advantages = tokens.Rows.Spread(Toys.Wide(advantages)) };
                    return Toys.Averages[average].Share(Toys.Policies[name].Each(tokens), tokens.Rows, StepCounts.Of(tokens.Rows));
                },
                logs);
            Assert.All(gradient, slope => Assert.Equal(0, slope, 1e-12));
        }
        Assert.Equal(1, GroupAdvantages.WithoutSpread(table.Totals(), groups));
    }

    [Fact]
    public void At_ratio_one_the_clipped_loss_and_its_gradient_are_the_advantages()
    {
        double[] advantages = [1, -2, 0.5, 3, -1];
        var rows = new RowLayout([2, 3]);
        foreach (var loss in new PolicyLoss[]
            { new ClippedLoss(0.2, 0.2), new SoftGateLoss(1, 1), new CappedWeightLoss(5), new ClippedLoss(0.2, 0.2, Most: 2) })
        {
            Tensor Each(Tensor x) => loss.Each(new PolicyTokens(new TokenValues(x, rows), x.detach(), Toys.Wide(advantages)));
            var (_, gradient) = Toys.Slope(x => Each(x).sum(), logs[..5]);
            Assert.Equal(advantages.Select(a => -a), gradient, (a, b) => Math.Abs(a - b) < 1e-12);
        }
        var clipped = new ClippedLoss(0.2, 0.2);
        var losses = clipped.Of(ones(5, dtype: ScalarType.Float64), Toys.Wide(advantages));
        Assert.Equal(advantages.Select(a => -a), CaseNumbers.Doubles(losses));
        var (below, above) = clipped.Clipped(Toys.Wide(0.7, 0.7, 1.3, 1.3), Toys.Wide(1, -1, 1, -1));
        Assert.Equal([false, true, false, false], below.data<bool>().ToArray());
        Assert.Equal([false, false, true, false], above.data<bool>().ToArray());
    }

    [Fact]
    public void A_policy_is_no_distance_from_itself()
    {
        var own = Toys.Wide(logs);
        foreach (var kind in Enum.GetValues<KlKind>())
            Assert.All(CaseNumbers.Doubles(KlEstimate.Each(kind, own, own)), kl => Assert.Equal(0, kl));
        var logits = Toys.Wide(Samples.Numbers("student", 20)).view(4, 5);
        foreach (var loss in new DistillationLoss[]
            { new ForwardKlDistillation(), new ReverseKlDistillation(0.5), new JensenShannonDistillation(0.3) })
            Assert.All(CaseNumbers.Doubles(loss.Each(logits, logits)), kl => Assert.Equal(0, kl, 1e-12));
    }

    [Fact]
    public void Estimates_of_divergence_are_right_on_the_average()
    {
        // Over a whole distribution the expectation of k1 and k3 is the divergence itself.
        Tensor p = Toys.Wide(Samples.Numbers("p", 1, 50)).view(1, 50).log_softmax(-1), q = (p * 0.5).log_softmax(-1);
        var exact = (p.exp() * (p - q)).sum().item<double>();
        Assert.Equal(exact, (p.exp() * KlEstimate.Each(KlKind.K1, p, q)).sum().item<double>(), 1e-12);
        Assert.Equal(exact, (p.exp() * KlEstimate.Each(KlKind.K3, p, q)).sum().item<double>(), 1e-12);
    }

    [Fact]
    public void Whitening_in_parts_is_whitening_at_once()
    {
        var values = Toys.Wide(logs);
        var parts = Whitening.Of(values.narrow(0, 0, 5)).With(Whitening.Of(values.narrow(0, 5, Toys.Tokens - 5)));
        var white = parts.Whiten(values);
        Assert.Equal(0, white.mean().item<double>(), 1e-10);
        Assert.Equal(1, white.std().item<double>(), 1e-6);
        Assert.Equal(values.mean().item<double>(), parts.Whiten(values, keepMean: true).mean().item<double>(), 1e-10);
    }

    [Fact]
    public void Rows_without_tokens_add_nothing_and_still_count()
    {
        int[] lengths = [2, 0, 1, 0];
        var rows = new RowLayout(lengths);
        var each = Toys.Wide(1, 3, 5);
        Assert.Equal([4.0, 0, 5, 0], CaseNumbers.Doubles(rows.Sums(each)));
        Assert.Equal([2.0, 0, 5, 0], CaseNumbers.Doubles(rows.Means(each)));
        Assert.Equal(7.0 / 4, new RowMeans().Share(each, rows, StepCounts.Of(rows)).item<double>());
        Assert.Equal([1.0, 1, 3], CaseNumbers.Doubles(rows.Spread(Toys.Wide(1, 2, 3, 4))));
        var none = new RowLayout([0, 0]);
        Assert.Equal([0.0, 0], CaseNumbers.Doubles(none.Means(zeros(0, dtype: ScalarType.Float64))));
        Assert.Equal(0, new AllTokens().Share(zeros(0), none, StepCounts.Of(none)).item<float>());
    }
}
