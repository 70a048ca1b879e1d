using System.Diagnostics;
using Polymath.Distributed;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Objectives.Preferences;
using Polymath.Training.Objectives.Scoring;
using Polymath.Training.Optimizers;
using Polymath.Training.Rollouts;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Bench;

/// <summary>
/// Steps of alignment in the shapes of a measurement of TRL's own trainers: DPO and a reward model on 4 pairs (prompts of 64 to 256 tokens,
/// answers of 32 to 96), GRPO on 8 prompts of 256 tokens with 8 answers of 64 each. The first step is for warming up. The machine may be
/// shared, so the time of the processor is told, too.
/// </summary>
internal static class AlignSpeed
{
    private const int Pairs = 4, Prompts = 8, Answers = 8, PromptTokens = 256, NewTokens = 64;

    // The passes of a step: what is in memory at once.
    private const int PassTokens = 1024;

    /// <summary>Prints each step's seconds, those of its parts, and the peak memory.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="kind">dpo, dpo-full, reward or grpo.</param>
    /// <param name="steps">The steps.</param>
    internal static int Run(string folder, string kind, int steps)
    {
        TorchRuntime.Load();
        using var model = kind == "reward" ? WithHead(folder) : ModelFolder.Open(folder);
        using var method = TrainedMethod.Attach(
            model, kind is "dpo" or "grpo" ? new LoraMethod(R: Workload.Rank, LoraAlpha: 16) : new FullMethod(), 1, "bench");
        using var optimizer = new OptimizerSet(method.Weights, new AdamwSpec(1e-6));
        using var peers = new Solo();
        var source = new Given();
        Objective objective = kind switch
        {
            "grpo" => new SampledAnswers(new ClippedLoss(0.2, 0.2), new AllTokens(), 0.04, 1),
            "reward" => new RewardPairs(new BradleyTerry()),
            _ => new RankedPairs(new SigmoidLoss(0.1), null, 0.1),
        };
        var loop = new Loop(
            model,
            [new Term(objective, source, new BatchSpec(int.MaxValue, MicroTokens: PassTokens))],
            optimizer,
            new RateSchedule(1e-6, steps, new ScheduleSpec(ScheduleKind.Constant)),
            peers);
        using var start = kind == "reward" ? null : new StartingPolicy(method.Weights);
        for (var step = 1; step <= steps; step++)
        {
            var clock = new Clock();
            source.Items = kind switch
            {
                "grpo" => Sampled(
                    model,
                    step,
                    start!,
                    clock),
                "reward" => [.. PairRows(step).Select(rows => new RewardItem(rows, 0))],
                _ => Referred(
                    model,
                    step,
                    start!,
                    clock),
            };
            source.Cursor = default;
            var report = loop.Step(step, default);
            clock.Lap("training");
            Console.WriteLine($"step {step}: {clock.Told}, loss {report.Loss:F4}, {report.Tokens} tokens, peak "
                + $"{Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:F0} MB");
        }
        return 0;
    }

    private static LanguageModel WithHead(string folder)
    {
        var model = ModelFolder.Open(folder);
        var configuration = (System.Text.Json.Nodes.JsonObject)model.Configuration.DeepClone();
        model.Dispose();
        configuration["architectures"] = new System.Text.Json.Nodes.JsonArray("LlamaForSequenceClassification");
        configuration["num_labels"] = System.Text.Json.Nodes.JsonNode.Parse("1");
        configuration["problem_type"] = "regression";
        return ModelFolder.New(configuration, 1);
    }

    private static int[] Tokens(RandomStream random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => 3 + random.Next(Workload.Vocabulary - 3))];

    private static IEnumerable<TokenRow[]> PairRows(int step)
    {
        var random = new RandomStream(1, "pairs", step);
        for (var i = 0; i < Pairs; i++)
        {
            var prompt = Tokens(random, 64 + random.Next(193));
            TokenRow Row(int[] answer) => new([.. prompt, .. answer], [.. new float[prompt.Length], .. answer.Select(_ => 1f)], "pair");
            yield return [Row(Tokens(random, 32 + random.Next(65))), Row(Tokens(random, 32 + random.Next(65)))];
        }
    }

    // The reference is the policy at the start, computed in each step as TRL does.
    private static List<Item> Referred(
        LanguageModel model,
        int step,
        StartingPolicy start,
        Clock clock)
    {
        using var frozen = TorchSharp.torch.no_grad();
        using var scope = TorchSharp.torch.NewDisposeScope();
        using var original = start.In();
        var pairs = PairRows(step).ToList();
        using var batch = model.Lay([.. pairs.SelectMany(rows => rows)], shares: true);
        var sums = RankedPairs.RowSums(model, batch).data<float>().ToArray();
        clock.Lap("reference");
        return [.. pairs.Select((rows, i) => new PairItem(rows, sums[(2 * i)..(2 * i + 2)]))];
    }

    private static IReadOnlyList<Item> Sampled(
        LanguageModel model,
        int step,
        StartingPolicy start,
        Clock clock)
    {
        var random = new RandomStream(1, "prompts", step);
        int[][] prompts = [.. Enumerable.Range(0, Prompts).Select(_ => Tokens(random, PromptTokens))];
        var given = new TokenGenerator(model, []) { Scored = true }.Answers(
            [.. prompts.SelectMany(prompt => Enumerable.Repeat(prompt, Answers))],
            new SamplingSettings(1, MaxNewTokens: NewTokens, Seed: step)).ToList();
        clock.Lap("sampling");
        List<SampledAnswer> answers =
        [
            .. given.Select((answer, i) => new SampledAnswer(
                "",
                i / Answers,
                "",
                "",
                new Dictionary<string, double?>(),
                random.NextDouble(),
                prompts[i / Answers],
                answer.Tokens,
                [],
                false) { Sampled = answer.Scores }),
        ];
        var estimator = new GroupRelative(new GrpoSpec(KlWeight: 0.04), 1);
        new RoundScores(model, estimator, start).Score(answers, estimator.Chosen(answers), default);
        clock.Lap("scoring");
        return estimator.Items(answers);
    }

    private sealed class Given : ItemSource
    {
        internal IReadOnlyList<Item> Items { get; set; } = [];

        public override int Count => Items.Count;

        protected override Item At(Cursor cursor) => Items[cursor.Place];
    }

    // Seconds on the clock and of the processor, of each part and of all.
    private sealed class Clock
    {
        private readonly List<string> laps = [];
        private readonly long began = Stopwatch.GetTimestamp();
        private readonly double used = Processor;
        private long last = Stopwatch.GetTimestamp();
        private double lastUsed = Processor;

        private static double Processor
        {
            get
            {
                using var process = Process.GetCurrentProcess();
                return process.TotalProcessorTime.TotalSeconds;
            }
        }

        internal void Lap(string name)
        {
            laps.Add($"{name} {Stopwatch.GetElapsedTime(last).TotalSeconds:F1} s ({Processor - lastUsed:F1})");
            (last, lastUsed) = (Stopwatch.GetTimestamp(), Processor);
        }

        internal string Told => $"{Stopwatch.GetElapsedTime(began).TotalSeconds:F1} s ({Processor - used:F1} of the processor): "
            + string.Join(", ", laps);
    }
}
