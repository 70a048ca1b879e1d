using Polymath.Models;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Objectives.Scoring;
using static TorchSharp.torch;

namespace Polymath.Tests.Training;

/// <summary>Objectives over rows that share their prompt: losses, figures and gradients are those of separate rows.</summary>
[Trait("kind", "invariant")]
public sealed class SharedItemsTests
{
    private static readonly RandomStream seed = new(6, "items");

    private static List<TokenRow> Rows(int prompts, int answers)
    {
        var random = seed;
        int[] Some(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 + random.Next(TinyFamilies.Vocabulary - 2))];
        return
        [
            .. Enumerable.Range(0, prompts).Select(_ => Some(12)).SelectMany(prompt => Enumerable.Range(0, answers).Select(i =>
            {
                var answer = Some(3 + i);
                return new TokenRow([.. prompt, .. answer], [.. new float[12], .. answer.Select(_ => 1f)], "");
            })),
        ];
    }

    private static float[] Numbers(string name, int count, double middle = 0)
    {
        var random = new RandomStream(2, name, count);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(middle + random.NextNormal() * 0.3))];
    }

    private static (Objective Objective, List<Item> Items, IReadOnlyList<Weight> More) Case(string name, int width)
    {
        var rows = Rows(3, 4);
        switch (name)
        {
            case "pairs":
                return (new RankedPairs(new SigmoidLoss(0.3), null, 0.3), [.. rows.Chunk(2).Select(pair => new PairItem(
                    pair, Numbers("reference", 2, -15)))], []);
            case "reward":
                return (new RewardPairs(new BradleyTerry()), [.. rows.Chunk(2).Select(pair => new RewardItem(pair, 0.1))], []);
            case "ranks":
                return (new RankedAnswers(new RankLoss(1)),
                    [.. rows.Chunk(4).Select(group => new GroupItem(group, [0.1, 0.9, 0.3, 0.2]))], []);
            case "group":
                return (new SampledAnswers(new ClippedLoss(0.2, 0.2), new AllTokens(), 0.1, 0.8),
                    [.. rows.Select((row, i) => new AnswerItem([row], Numbers("old", row.Targets, -4), i % 3 - 1)
                    {
                        Reference = Numbers("start", row.Targets, -4),
                    })], []);
            default:
                var critic = new TrunkCritic(width);
                using (no_grad()) critic.Weights[0].Value.normal_(0, 0.3);
                var objective = new ActorCritic(
                    critic,
                    new ClippedLoss(0.2, 0.2),
                    new ValueLoss(0.2),
                    0.5,
                    1);
                return (objective,
                    [.. rows.Select((row, i) => new TrajectoryItem(
                        [row],
                        Numbers("old", row.Targets, -4),
                        Numbers("advantages", row.Targets),
                        Numbers("returns", row.Targets + i % 2),
                        Numbers("values", row.Targets + i % 2)))], critic.Weights);
        }
    }

    [Theory]
    [InlineData("pairs")]
    [InlineData("reward")]
    [InlineData("ranks")]
    [InlineData("group")]
    [InlineData("critic")]
    public void An_objective_says_the_same_of_rows_that_share_their_prompt(string name)
    {
        var configuration = TinyFamilies.Configuration("qwen2");
        configuration["initializer_range"] = 0.2;
        if (name == "reward")
        {
            configuration["architectures"] = new System.Text.Json.Nodes.JsonArray("Qwen2ForSequenceClassification");
            configuration["num_labels"] = System.Text.Json.Nodes.JsonNode.Parse("1");
            configuration["problem_type"] = "regression";
        }
        using var model = ModelFolder.New(configuration, 3);
        var (objective, items, more) = Case(name, model.Sizes.HiddenSize);
        Assert.True(objective.SharesBeginnings);
        var results = new List<(double Loss, Score Score, Dictionary<string, float[]> Gradients)>();
        foreach (var shares in new[] { false, true })
        {
            using var scope = NewDisposeScope();
            Weight[] weights = [.. model.Weights, .. more];
            foreach (var weight in weights) weight.Trainable = true;
            using var batch = model.Lay([.. items.SelectMany(item => item.Rows)], shares);
            Assert.Equal(shares, batch.Tokens < batch.GivenTokens);
            var score = objective.Evaluate(
                model,
                batch,
                items,
                Objective.CountsOf(items));
            Fused.Backpropagate(score.Loss);
            results.Add((score.Loss.item<float>(), score, weights.Where(weight => weight.Value.grad is not null)
                .ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value.grad!))));
            foreach (var weight in weights) weight.Value.grad = null;
        }
        var (apart, shared) = (results[0], results[1]);
        Assert.Equal(apart.Loss, shared.Loss, 1e-4 * Math.Max(1, Math.Abs(apart.Loss)));
        Assert.Equal(apart.Score.Count, shared.Score.Count);
        foreach (var (figure, value) in apart.Score.Metrics!) Assert.Equal(value, shared.Score.Metrics![figure], 1e-3);
        var greatest = apart.Gradients.Values.Max(values => values.Max(MathF.Abs));
        Assert.True(greatest > 0);
        foreach (var (weight, values) in apart.Gradients)
            for (var i = 0; i < values.Length; i++) Assert.Equal(values[i], shared.Gradients[weight][i], 2e-4f * greatest);
    }

    [Fact]
    public void Answers_to_one_prompt_go_into_one_pass_and_their_prompt_counts_once()
    {
        var rows = Rows(3, 4);
        // In turn: an answer to each prompt.
        List<Item> items = [.. Enumerable.Range(0, 12).Select(i => new AnswerItem([rows[i % 3 * 4 + i / 3]], [], i))];
        var grouped = SharedItems.Grouped(items);
        Assert.Equal(rows, grouped.Select(item => item.Rows[0]));
        // 12 tokens of a prompt, and answers of 3, 4, 5 and 6.
        Assert.Equal([4, 4, 4], SharedItems.Chunks(grouped, 30, 99).Select(part => part.Count));
        Assert.Equal([8, 4], SharedItems.Chunks(grouped, 60, 99).Select(part => part.Count));
        Assert.Equal([3, 3, 3, 3], SharedItems.Chunks(grouped, 60, 3).Select(part => part.Count));
        Assert.Equal(12, SharedItems.Chunks(grouped, 1, 99).Count());
    }
}
