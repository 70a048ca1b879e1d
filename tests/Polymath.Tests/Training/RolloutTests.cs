using System.Text.Json;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Text;
using Polymath.Training.Objectives;
using Polymath.Training.Rewards;
using Polymath.Training.Rollouts;
using Polymath.Models;

namespace Polymath.Tests.Training;

/// <summary>Pairs of answers sampled from the model itself, kept in files.</summary>
[Trait("kind", "invariant")]
public sealed class RolloutTests : IDisposable
{
    private readonly TextModel model = Toy.Talker();
    private readonly ScratchFolder folder = new();
    private readonly List<(int Round, string Name, double Value)> told = [];

    public void Dispose()
    {
        model.Dispose();
        folder.Dispose();
    }

    private sealed class Length : RuleReward
    {
        public override double Score(string answer, IReadOnlyDictionary<string, string> fields) => answer.Length % 7 / 7.0;
    }

    private sealed class Same : RuleReward
    {
        public override double Score(string answer, IReadOnlyDictionary<string, string> fields) => 0.5;
    }

    private RolloutItems Source(Reward reward, int steps = 6, Estimator? estimator = null) => new(
        model,
        [.. Enumerable.Range(0, 5)
            .Select(i => new RolloutPrompt($"p{i}", new string((char)('a' + i), 3), new Dictionary<string, string>()))],
        new Judge([("length", () => reward, 2.0)], [("half", () => new Same())]),
        estimator ?? new BestAndWorst(),
        new RolloutSpec(Rounds: 2, Prompts: 3, Answers: 4, MaxNewTokens: 9),
        steps,
        11,
        "please",
        folder.At("rollouts"),
        (round, name, value, _) => told.Add((round, name, value)));

    private static string Show(IEnumerable<Item> items) =>
        string.Join('\n', items.Select(item => string.Join(' ', item.Rows.SelectMany(row => row.Ids)) + " | "
            + string.Join(' ', item.Rows.SelectMany(row => row.Learn))
            + " | " + string.Join(' ', item is PairItem pair ? pair.Reference : ((AnswerItem)item).Old)));

    [Fact]
    public void A_look_before_the_first_step_records_nothing_and_the_step_reads_the_same_items()
    {
        var source = Source(new Length());
        source.PrepareLook(TestContext.Current.CancellationToken);
        Assert.Empty(told);
        var (count, kept) = (source.Count, source.Cursor);
        var looked = Show(source.Take(100000).Take(count));
        source.Cursor = kept;
        source.Prepare(1, TestContext.Current.CancellationToken);
        Assert.Equal(
            ["length", "probe half", "score", "pairs", "answer tokens", "unfinished", "entropy", "sampler gap", "greatest sampler gap"],
            told.Select(one => one.Name).Where(name => name != "length bias"));
        Assert.All(told, one => Assert.Equal(1, one.Round));
        Assert.Equal(looked, Show(source.Take(100000).Take(count)));
    }

    [Fact]
    public void The_gap_between_sampler_and_trainer_is_that_of_the_round_s_file()
    {
        var source = Source(new Length());
        source.Prepare(1, TestContext.Current.CancellationToken);
        var gaps = File.ReadLines(folder.At("rollouts", "round-001.jsonl"))
            .Select(line => JsonSerializer.Deserialize<SampledAnswer>(line, JsonLayout.RecordLine)!)
            .Where(answer => answer.LogProbabilities.Length > 0)
            .SelectMany(answer => answer.Sampled!.Zip(answer.LogProbabilities, (x, y) => Math.Abs((double)x - y))).ToList();
        Assert.NotEmpty(gaps);
        double Told(string name) => told.Single(one => one.Name == name).Value;
        Assert.Equal(gaps.Average(), Told("sampler gap"), 1e-12);
        Assert.Equal(gaps.Max(), Told("greatest sampler gap"), 1e-12);
        Assert.InRange(gaps.Max(), 0, 1e-4);
    }

    [Fact]
    public void A_round_is_written_down_and_read_again_as_the_same_items()
    {
        var source = Source(new Length());
        source.Prepare(1, TestContext.Current.CancellationToken);
        var count = source.Count;
        Assert.InRange(count, 1, 3);
        var first = Show(source.Take(100000).Take(count));
        Assert.True(File.Exists(folder.At("rollouts", "round-001.jsonl")));
        // Every answer is written down, not only those that are learned from.
        Assert.Equal(3 * 4, File.ReadLines(folder.At("rollouts", "round-001.jsonl")).Count());
        Assert.Equal(
            ["length", "probe half", "score", "pairs", "answer tokens", "unfinished", "entropy", "sampler gap", "greatest sampler gap"],
            told.Select(one => one.Name).Where(name => name != "length bias"));
        Assert.All(told, one => Assert.Equal(1, one.Round));
        Assert.Equal(count, told.Single(one => one.Name == "pairs").Value);
        Assert.Equal(0.5, told.Single(one => one.Name == "probe half").Value, 1e-12);

        // A resumed run samples nothing: its model has changed, and the pairs come from the file.
        model.Model.Weights[0].Assign(model.Model.Weights[0].Value * 2);
        var figures = told.ToList();
        told.Clear();
        var again = Source(new Length());
        again.Cursor = new(3, 0);
        again.Prepare(2, TestContext.Current.CancellationToken);
        Assert.Equal(3, again.Cursor.Epoch);
        again.Cursor = default;
        Assert.Equal(first, Show(again.Take(100000).Take(count)));
        Assert.Empty(told);
        // A run that was stopped in the round's first step has lost the figures with the step, and gets them again.
        Source(new Length()).Prepare(1, TestContext.Current.CancellationToken);
        Assert.Equal(figures, told);
    }

    [Fact]
    public void Each_round_starts_at_its_beginning_with_other_prompts()
    {
        var source = Source(new Length());
        source.Prepare(1, TestContext.Current.CancellationToken);
        source.Take(10);
        source.Prepare(3, TestContext.Current.CancellationToken);
        Assert.NotEqual(default, source.Cursor);
        source.Prepare(4, TestContext.Current.CancellationToken);
        Assert.Equal(default, source.Cursor);
        Assert.NotEqual(
            File.ReadAllText(folder.At("rollouts", "round-001.jsonl")), File.ReadAllText(folder.At("rollouts", "round-002.jsonl")));
    }

    [Fact]
    public void A_pass_deals_all_answers_to_a_prompt_before_the_next_prompt_and_each_pass_in_another_order()
    {
        var source = Source(new Length(), estimator: new EveryAnswer());
        source.Prepare(1, TestContext.Current.CancellationToken);
        static string Prompt(Item item) =>
            string.Join(' ', item.Rows[0].Ids.Take(Array.FindIndex(item.Rows[0].Learn, weight => weight != 0)));
        var passes = Enumerable.Range(0, 4).Select(_ => Enumerable.Range(0, 12).SelectMany(_ => source.Take(1, 1)).ToList()).ToList();
        Assert.All(passes, pass =>
        {
            Assert.Equal(12, pass.Distinct(ReferenceEqualityComparer.Instance).Count());
            Assert.Equal(3, pass.Select(Prompt).Distinct().Count());
            Assert.Equal(2, pass.Zip(pass.Skip(1)).Count(pair => Prompt(pair.First) != Prompt(pair.Second)));
        });
        Assert.True(passes.Select(pass => string.Join('|', pass.Select(Prompt))).Distinct().Count() > 1);
    }

    [Fact]
    public void Only_answers_are_learned_and_their_reference_is_the_models_own()
    {
        var source = Source(new Length());
        source.Prepare(1, TestContext.Current.CancellationToken);
        var items = source.Take(100000).Take(source.Count).ToList();
        using var frozen = TorchSharp.torch.no_grad();
        foreach (var item in items)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            using var batch = Batch.Of(item.Rows);
            Assert.Equal(
                ((PairItem)item).Reference,
                RankedPairs.RowSums(model.Model, batch).data<float>().ToArray(),
                (a, b) => Math.Abs(a - b) < 1e-3);
            foreach (var row in item.Rows)
            {
                Assert.Equal([0, 0, 0, 0, 0, 0, 1], row.Learn[..7]);
                Assert.InRange(row.Length, 7, 6 + 9);
                Assert.True(row.Length == 6 + 9 || model.Ends.Contains(row.Ids[^1]));
            }
        }
    }

    [Fact]
    public void Answers_that_all_score_alike_are_told_and_nothing_is_written()
    {
        Assert.Contains(
            "no pairs to learn from",
            Assert.Throws<RunFailedException>(() => Source(new Same()).Prepare(1, CancellationToken.None)).Message);
        Assert.False(File.Exists(folder.At("rollouts", "round-001.jsonl")));
    }
}
