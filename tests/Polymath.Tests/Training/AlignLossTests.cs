using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Training.Lessons;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rollouts;

namespace Polymath.Tests.Training;

/// <summary>The losses that an align stage names, in the loop: however a step is cut into passes, it is the same step.</summary>
[Trait("kind", "invariant")]
public sealed class AlignLossTests
{
    private static readonly RolloutSpec rollout = new(MaxNewTokens: 9);

    public static TheoryData<string> Losses() =>
    [
        .. Enum.GetNames<DpoLoss>().Select(name => "dpo " + name),
        .. Enum.GetNames<ScoreDivergence>().Select(name => "divergence " + name),
        "lengths", "simpo", "alphapo", "cpo", "orpo",
    ];

    private static AlignSpec Of(string name)
    {
        var (first, second) = name.Split(' ') is [var kind, var which] ? (kind, which) : (name, "");
        return new AlignSpec(first switch
        {
            "dpo" => new DpoSpec(
                Enum.Parse<DpoLoss>(second),
                LabelSmoothing: second is nameof(DpoLoss.Robust) or nameof(DpoLoss.ExoPair) ? 0.1 : 0),
            "divergence" => new DpoSpec(Divergence: Enum.Parse<ScoreDivergence>(second)),
            "lengths" => new DpoSpec(LengthWeight: 0.5, AnswerWeight: 0.2),
            "simpo" => new SimPoSpec(),
            "alphapo" => new SimPoSpec(Alpha: 0.25),
            "cpo" => new CpoSpec(),
            _ => new OrpoSpec(),
        });
    }

    private static List<Item> Pairs(AlignSpec align) =>
    [
        .. Enumerable.Range(0, 6).Select(i => new PairItem(
            [Toy.Row(7 + i % 3, i, half: true), Toy.Row(9 + i % 2, i + 50, half: true)],
            align.Loss.HasReference ? [-15f - i, -17f + i] : [])),
    ];

    private static void SameInOnePassAndMany(Func<Objective> objective, List<Item> items)
    {
        using var whole = new ToyTraining(new FullMethod(), objective: objective(), items: items, tokens: 999);
        using var cut = new ToyTraining(
            new FullMethod(),
            microTokens: 40,
            objective: objective(),
            items: items,
            tokens: 999);
        var (one, many) = (whole.Train(1, 3), cut.Train(1, 3));
        foreach (var (a, b) in one.Zip(many))
        {
            Assert.Equal(a.Loss, b.Loss, 2e-5 * Math.Max(1, Math.Abs(a.Loss)));
            Assert.Equal(a.GradientNorm, b.GradientNorm, 2e-4 * Math.Max(1, a.GradientNorm));
        }
        Assert.True(one[0].GradientNorm > 0);
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public void Pairs_give_the_same_step_in_one_pass_and_in_many(string name)
    {
        var align = Of(name);
        SameInOnePassAndMany(() => AlignLoss.Of(align), Pairs(align));
    }

    [Theory]
    [InlineData(TpoLoss.Sigmoid)]
    [InlineData(TpoLoss.Hinge)]
    [InlineData(TpoLoss.Ipo)]
    [InlineData(TpoLoss.TpoL)]
    public void Triples_give_the_same_step_in_one_pass_and_in_many(TpoLoss loss)
    {
        List<Item> items =
        [
            .. Enumerable.Range(0, 6).Select(i => new GoldItem(
                [Toy.Row(7 + i % 3, i, half: true), Toy.Row(9 + i % 2, i + 50, half: true), Toy.Row(8 + i % 4, i + 90, half: true)])),
        ];
        SameInOnePassAndMany(() => AlignLoss.Of(new AlignSpec(new TpoSpec(loss, 0.3))), items);
    }

    // Against the sums of each row alone: −log σ(βΔ) over pairs, and Σ −log π / tokens over the third answers.
    [Fact]
    public void A_triple_is_a_pair_and_the_likelihood_of_the_third_answer()
    {
        using var model = Toy.Model();
        using var frozen = TorchSharp.torch.no_grad();
        using var scope = TorchSharp.torch.NewDisposeScope();
        List<GoldItem> items =
        [
            .. Enumerable.Range(0, 3).Select(i => new GoldItem(
                [Toy.Row(7 + i, i, half: true), Toy.Row(9, i + 50, half: true), Toy.Row(8 + i, i + 90, half: true)])),
        ];
        double Sum(Polymath.Text.Packing.TokenRow row)
        {
            using var alone = model.Lay([row]);
            return RankedPairs.RowSums(model, alone).item<float>();
        }
        var pairs = items.Average(item => Math.Log(1 + Math.Exp(-0.3 * (Sum(item.Rows[0]) - Sum(item.Rows[1])))));
        var gold = items.Sum(item => -Sum(item.Rows[2])) / items.Sum(item => item.Rows[2].Targets);
        using var batch = model.Lay([.. items.SelectMany(item => item.Rows)]);
        var score = new GoldPairs(new Polymath.Training.Objectives.Preferences.SigmoidLoss(0.3), 0.3, 0.5)
            .Evaluate(model, batch, items, Objective.CountsOf(items));
        Assert.Equal(pairs + (0.5 * gold), score.Loss.item<float>() / score.Count, 1e-4);
    }

    [Theory]
    [InlineData(KtoLoss.Kto)]
    [InlineData(KtoLoss.ApoZero)]
    public void Judged_answers_give_the_same_step_in_one_pass_and_in_many(KtoLoss loss)
    {
        // The reference is below the policy, so that the baseline is above 0.
        List<Item> items =
        [
            .. Enumerable.Range(0, 6).Select(i => new JudgedItem(
                [Toy.Row(8 + i % 3, i, half: true)],
                i % 3 == 0,
                Toy.Row(9 + i % 2, i + 50, half: true),
                [-20f - i, -30f + i])),
        ];
        SameInOnePassAndMany(() => AlignLoss.Of(new AlignSpec(new KtoSpec(loss, 0.3, 1, 0.5))), items);
        using var model = Toy.Model();
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var batch = model.Lay([.. items.SelectMany(item => item.Rows)]);
        using var others = model.Lay([.. items.Cast<JudgedItem>().Select(item => item.Mismatched)]);
        var own = RankedPairs.RowSums(model, batch).detach().data<float>().ToArray();
        var other = RankedPairs.RowSums(model, others).detach().data<float>().ToArray();
        var judged = items.Cast<JudgedItem>().ToList();
        var baseline = loss == KtoLoss.Kto ? Math.Max(0, judged.Select((item, i) => (double)other[i] - item.Reference[1]).Average()) : 0;
        var expected = judged.Select((item, i) =>
        {
            var value = 1 / (1 + Math.Exp(-0.3 * (own[i] - item.Reference[0] - baseline)));
            return item.Good ? 1 - value : 0.5 * value;
        }).Sum();
        var objective = AlignLoss.Of(new AlignSpec(new KtoSpec(loss, 0.3, 1, 0.5)));
        objective.Begin(model, [items]);
        var score = objective.Evaluate(
            model,
            batch,
            items,
            Objective.CountsOf(items));
        Assert.Equal(expected, score.Loss.item<float>(), 1e-4);
        Assert.Equal(baseline, score.Metrics!["baseline"] / items.Count, 1e-3);
    }

    public static TheoryData<GrpoSpec> Groups() =>
    [
        new GrpoSpec(),
        new GrpoSpec(KlWeight: 0.1, Mean: TokenMean.Rows),
        new GrpoSpec(Mean: TokenMean.Fixed),
        new GrpoSpec(Ratio: RatioOver.Sequence, ClipHigh: 0.3),
    ];

    [Theory]
    [MemberData(nameof(Groups))]
    public void Answers_give_the_same_step_in_one_pass_and_in_many(GrpoSpec by) =>
        SameInOnePassAndMany(() => AlignLoss.Of(new AlignSpec(by, Rollout: rollout)), Answers());

    [Fact]
    public void Whole_answers_give_the_same_step_in_one_pass_and_in_many() =>
        SameInOnePassAndMany(() => AlignLoss.Of(new AlignSpec(new RlooSpec(), Rollout: rollout)), Answers());

    // Rows whose policy has moved a little since they were sampled: the ratios are near 1.
    private static List<Item> Answers(float moved = 0.05f)
    {
        using var model = Toy.Model();
        using var frozen = TorchSharp.torch.no_grad();
        using var scope = TorchSharp.torch.NewDisposeScope();
        return
        [
            .. Enumerable.Range(0, 6).Select(i =>
            {
                var row = Toy.Row(8 + i % 3, i, half: true);
                using var batch = model.Lay([row]);
                var old = SampledAnswers.Values(model, batch, 1).Each.data<float>().Select((log, t) => log + moved * (t % 3 - 1));
                return new AnswerItem([row], [.. old], i % 2 == 0 ? 0.8 : -0.8);
            }),
        ];
    }

    [Fact]
    public void Answers_that_were_just_sampled_have_the_ratio_1_and_no_divergence()
    {
        var known = Answers(moved: 0);
        using var model = Toy.Model();
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var batch = model.Lay([.. known.SelectMany(item => item.Rows)]);
        var score = new SampledAnswers(new ClippedLoss(0.2, 0.2), new RowMeans(), 0.5, 1).Evaluate(
            model,
            batch,
            known,
            Objective.CountsOf(known));
        Assert.Equal(1, score.Metrics!["ratio"] / known.Count, 1e-5);
        Assert.Equal(0, score.Metrics["kl"], 1e-5);
        Assert.Equal(0, score.Metrics["clipped"]);
        // At the ratio 1 each row's loss is -A.
        Assert.Equal(0, score.Loss.item<float>(), 1e-4);
    }

    [Fact]
    public void Advantages_are_those_of_the_group_and_groups_without_a_difference_teach_nothing()
    {
        SampledAnswer Answer(int group, double score) => new(
            $"p{group}",
            group,
            "ask",
            "say",
            new Dictionary<string, double?> { ["r"] = score },
            score,
            [1, 2],
            [3, 4],
            [-1f, -2f]);
        List<SampledAnswer> answers = [Answer(0, 1), Answer(0, 0), Answer(0, 0.5), Answer(1, 0.7), Answer(1, 0.7), Answer(1, 0.7)];
        var relative = new GroupRelative(new GrpoSpec(), 1).Items(answers).Cast<AnswerItem>().ToList();
        // Mean 0.5, standard deviation 0.5 (n - 1), plus 1e-4.
        Assert.Equal([0.5 / 0.5001, -0.5 / 0.5001, 0], relative.Select(item => item.Advantage), (a, b) => Math.Abs(a - b) < 1e-9);
        var others = new GroupRelative(new RlooSpec(), 1).Items(answers).Cast<AnswerItem>().ToList();
        Assert.Equal([0.75, -0.75, 0], others.Select(item => item.Advantage), (a, b) => Math.Abs(a - b) < 1e-9);
        var pair = Assert.IsType<PairItem>(Assert.Single(new BestAndWorst().Items(answers)));
        Assert.Equal([-3f, -3f], pair.Reference);
        Assert.Equal([1, 2, 3, 4], pair.Rows[0].Ids);
        Assert.Empty(Assert.IsType<PairItem>(Assert.Single(new BestAndWorst(hasReference: false).Items(answers))).Reference);
        Assert.Empty(new GroupRelative(new GrpoSpec(), 1).Items([.. answers.Skip(3)]));
    }
}
