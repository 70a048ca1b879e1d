using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rollouts;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>What is made of a round of judged answers, by numbers that were worked out by hand.</summary>
[Trait("kind", "unit")]
public sealed class EstimatorTests : IDisposable
{
    private readonly TrunkCritic critic = new(24);

    public void Dispose() => critic.Dispose();

    private static SampledAnswer Answer(
        int group,
        double? score,
        float[] logs,
        float[] start,
        float[] values) => new(
        $"p{group}",
        group,
        "ask",
        "say",
        new Dictionary<string, double?> { ["r"] = score },
        score,
        [1, 2],
        [.. logs.Select((_, i) => 3 + i)],
        logs,
        values.Length > logs.Length)
    {
        Reference = start,
        Values = values,
    };

    [Fact]
    public void Returns_are_the_score_at_the_end_and_the_divergence_on_the_way()
    {
        var estimator = new Trajectories(new PpoSpec(Lambda: 1, KlWeight: 0.1), critic, 1);
        List<SampledAnswer> round =
        [
            Answer(
                0,
                1,
                [-1, -2],
                [-1.5f, -1.5f],
                [0.2f, 0.3f, 0.4f]),
            Answer(
                1,
                -1,
                [-1, -1],
                [-1, -1],
                [0.1f, 0.1f]),
            Answer(
                2,
                null,
                [-1],
                [-1],
                [0, 0]),
        ];
        var items = estimator.Items(round).Cast<TrajectoryItem>().ToList();
        // The third answer has no score, so nothing is learned from it.
        Assert.Equal(2, items.Count);
        // Rewards: −0.1·0.5, +0.1·0.5, then 1 behind the end; the second answer was cut off, so its score is at its last token.
        Assert.Equal([1, 1.05, 1], items[0].Returns.Select(x => Math.Round(x, 5)));
        Assert.Equal([-1, -1], items[1].Returns.Select(x => Math.Round(x, 5)));
        Assert.Equal((3, 2), (items[0].Places, items[1].Places));
        double[] plain = [0.8, 0.75, -1.1, -1.1];
        double mean = plain.Average(), deviation = Math.Sqrt(plain.Sum(x => (x - mean) * (x - mean)) / 3 + 1e-8);
        Assert.Equal(
            plain.Select(x => Math.Round((x - mean) / deviation, 4)),
            items.SelectMany(item => item.Advantages).Select(x => Math.Round(x, 4)));
        var figures = estimator.Figures(round).ToDictionary(pair => pair.Name, pair => pair.Value);
        Assert.Equal(0.1, figures["kl weight"]);
    }

    [Fact]
    public void The_weight_of_the_divergence_follows_its_target()
    {
        var estimator = new Trajectories(new PpoSpec(KlWeight: 0.1, KlTarget: 1, KlHorizon: 10), critic, 1);
        // The divergence of the answer is 3, above the target: the error is clipped at 0.2.
        List<SampledAnswer> round = [Answer(
            0,
            1,
            [-1, -1],
            [-2, -3],
            [0, 0, 0])];
        estimator.Follow(round);
        Assert.Equal(0.1 * (1 + 0.2 / 10), estimator.Figures(round).First(pair => pair.Name == "kl weight").Value, 1e-12);
    }

    [Fact]
    public void The_reward_to_go_is_less_the_divergence_to_go()
    {
        List<SampledAnswer> round =
        [
            Answer(
                0,
                1,
                [-1, -2],
                [-1.5f, -1.5f],
                []),
            Answer(
                0,
                0,
                [-1],
                [-3],
                []),
        ];
        var items = new RewardToGo(new ReinforceSpec(KlWeight: 0.1, Baseline: true), 1).Items(round).Cast<AnswerItem>().ToList();
        double[] plain = [0.5 - 0.1 * 0, 0.5 + 0.1 * 0.5, -0.5 - 0.1 * 2];
        double mean = plain.Average(), deviation = Math.Sqrt(plain.Sum(x => (x - mean) * (x - mean)) / 2 + 1e-8);
        Assert.Equal(
            plain.Select(x => Math.Round((x - mean) / deviation, 4)),
            items.SelectMany(item => item.Advantages!).Select(x => Math.Round(x, 4)));
    }

    [Fact]
    public void Groups_and_best_answers_are_chosen_by_their_scores()
    {
        List<SampledAnswer> round =
        [
            Answer(
                0,
                0.2,
                [-1],
                [],
                []), Answer(
                0,
                0.9,
                [-1],
                [],
                []), Answer(
                1,
                0.5,
                [-1],
                [],
                []), Answer(
                1,
                0.5,
                [-1],
                [],
                []),
        ];
        Assert.Equal([0.2, 0.9], ((GroupItem)Assert.Single(new WholeGroups().Items(round))).Rewards);
        Assert.Equal([1, 2], new BestOfEach(null).Chosen(round));
        Assert.Equal([1], new BestOfEach(0.6).Chosen(round));
        Assert.Equal(4, new EveryAnswer().Items(round).Count);
    }

    [Fact]
    public void Answers_that_were_cut_off_can_be_left_out()
    {
        List<SampledAnswer> round = [Answer(
            0,
            0.2,
            [-1],
            [],
            []), Answer(
            0,
            0.9,
            [-1],
            [],
            []) with { Ended = true }];
        Assert.Equal([0, 1], new GroupRelative(new GrpoSpec(), 1).Chosen(round));
        Assert.Equal([1], new GroupRelative(new GrpoSpec(MaskUnfinished: true), 1).Chosen(round));
    }

    [Fact]
    public void An_actor_and_its_critic_learn_as_their_formulas_say()
    {
        using var model = Toy.Model();
        using var scope = NewDisposeScope();
        foreach (var weight in critic.Weights)
            weight.Assign(tensor(Enumerable.Range(0, (int)weight.Count).Select(i => 0.05f * (i % 5 - 2)).ToArray()));
        List<Item> items =
        [
            .. Enumerable.Range(0, 3).Select(i =>
            {
                var row = Toy.Row(8 + i, i, half: true);
                var places = row.Targets + (i == 1 ? 0 : 1);
                return new TrajectoryItem(
                    [row],
                    [.. Enumerable.Range(0, row.Targets).Select(t => -3f - 0.1f * t)],
                    [.. Enumerable.Range(0, row.Targets).Select(t => t % 2 == 0 ? 0.5f : -0.7f)],
                    [.. Enumerable.Range(0, places).Select(t => 0.2f * t - 0.3f)],
                    [.. Enumerable.Range(0, places).Select(t => 0.1f * t)]);
            }),
        ];
        using var batch = model.Lay([.. items.SelectMany(item => item.Rows)]);
        var objective = new ActorCritic(
            critic,
            new ClippedLoss(0.2, 0.2),
            new ValueLoss(0.2),
            0.5,
            0.8);
        var counts = Objective.CountsOf(items);
        var score = objective.Evaluate(
            model,
            batch,
            items,
            counts);
        // The same by plain numbers: log-probabilities and values one place at a time.
        var hidden = model.Hidden(batch);
        var (map, bias) = (critic.Weights[0].Value.data<float>().ToArray(), critic.Weights[1].Value.data<float>()[0]);
        double policy = 0, value = 0;
        for (var row = 0; row < items.Count; row++)
        {
            var item = (TrajectoryItem)items[row];
            var ids = item.Rows[0].Ids;
            for (var place = 0; place < item.Returns.Count; place++)
            {
                var at = batch.Offsets[row] + ids.Length - item.Old.Count - 1 + place;
                var state = hidden[at].data<float>().ToArray();
                var v = state.Zip(map, (x, w) => (double)x * w).Sum() + bias;
                var held = item.Values[place] + Math.Clamp(v - item.Values[place], -0.2, 0.2);
                value += Math.Max(Math.Pow(v - item.Returns[place], 2), Math.Pow(held - item.Returns[place], 2)) / 2;
                if (place >= item.Old.Count) continue;
                var logits = (model.Unembed(hidden[at].unsqueeze(0))[0] / 0.8).log_softmax(-1);
                var ratio = Math.Exp(logits[ids[ids.Length - item.Old.Count + place]].item<float>() - item.Old[place]);
                policy -= Math.Min(ratio * item.Advantages[place], Math.Clamp(ratio, 0.8, 1.2) * item.Advantages[place]);
            }
        }
        Assert.Equal(policy / counts.Tokens + 0.5 * value / counts.Places, score.Loss.item<float>() / items.Count, 1e-4);
    }

    [Fact]
    public void The_policy_at_the_start_stands_in_for_the_present_one()
    {
        using var model = Toy.Model();
        var before = Toy.Logits(model, 1, 2, 3);
        using var start = new StartingPolicy(model.Weights);
        foreach (var weight in model.Weights) weight.Assign(weight.Value * 1.5);
        var now = Toy.Logits(model, 1, 2, 3);
        using (start.In()) Assert.Equal(before, Toy.Logits(model, 1, 2, 3));
        Assert.Equal(now, Toy.Logits(model, 1, 2, 3));
        using (start.In()) Assert.Equal(before, Toy.Logits(model, 1, 2, 3));
    }
}
