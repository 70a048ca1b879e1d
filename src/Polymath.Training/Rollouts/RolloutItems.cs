using System.Text.Json;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Rewards;

namespace Polymath.Training.Rollouts;

/// <summary>A prompt for alignment, and the fields that the rewards read.</summary>
/// <param name="Key">Its name in messages.</param>
/// <param name="Message">What the user says.</param>
/// <param name="Fields">The fields.</param>
public sealed record RolloutPrompt(string Key, string Message, IReadOnlyDictionary<string, string> Fields);

/// <summary>
/// A source of pairs of answers that the current model samples. Each round answers prompts several times, and rewards score the answers.
/// The best and the worst answer become a pair. The pair is saved in a file with the log-probabilities of the policy that sampled it, which
/// is the round's reference.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="prompts">The prompts to choose from.</param>
/// <param name="rewards">The rewards with their weights.</param>
/// <param name="spec">How answers are sampled.</param>
/// <param name="steps">The stage's steps.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="stage">The stage's name.</param>
/// <param name="folder">The folder of the rounds' files.</param>
/// <param name="told">Receives each round's figures: round, name, value.</param>
public sealed class RolloutItems(
    TextModel model,
    IReadOnlyList<RolloutPrompt> prompts,
    IReadOnlyList<(string Name, Reward Reward, double Weight)> rewards,
    RolloutSpec spec,
    int steps,
    long seed,
    string stage,
    string folder,
    Action<int, string, double> told) : ItemSource
{
    private List<Item> items = [];
    private int round = -1;

    /// <inheritdoc/>
    public override int Count => items.Count;

    /// <inheritdoc/>
    public override void Prepare(int step, CancellationToken cancellation)
    {
        var due = RoundOf(step);
        if (due == round) return;
        var (pairs, figures) = Round(due, cancellation);
        // A run that was stopped during the round's first step has lost the figures of that step.
        if (step == 1 || RoundOf(step - 1) != due)
            foreach (var (name, value) in figures) told(due + 1, name, value);
        items = Some(due, pairs);
        // A resumed run is inside a round, so its cursor is kept.
        if (step == 1 || RoundOf(step - 1) != due) Cursor = default;
        round = due;
    }

    /// <inheritdoc/>
    public override void PrepareLook(CancellationToken cancellation) => items = Some(0, Round(0, cancellation).Pairs);

    private List<Item> Some(int due, List<Pair> pairs) => pairs.Count > 0
        ? [.. pairs.Select(ToItem)]
        : throw new RunFailedException($"Stage {stage}, round {due + 1}: all answers to each prompt have the same score, so there are no "
            + "pairs to learn from. Ask for more answers or a higher temperature, or use finer rewards.");

    // A round is sampled once and read from its file from then on; one without pairs has no file.
    private (List<Pair> Pairs, Dictionary<string, double> Figures) Round(int due, CancellationToken cancellation)
    {
        var file = Path.Combine(folder, $"round-{due + 1:D3}.jsonl");
        var figuresFile = Path.ChangeExtension(file, ".figures.json");
        if (File.Exists(file)) return (Read(file), ReadFigures(figuresFile));
        var (pairs, figures) = Sample(due, cancellation);
        if (pairs.Count > 0)
        {
            AtomicFile.WriteText(figuresFile, JsonSerializer.Serialize(figures, JsonLayout.RecordLine) + "\n");
            AtomicFile.WriteText(file, string.Concat(pairs.Select(pair => JsonSerializer.Serialize(pair, JsonLayout.RecordLine) + "\n")));
        }
        return (pairs, figures);
    }

    private static List<Pair> Read(string file) =>
        [.. File.ReadLines(file).Select(line => JsonSerializer.Deserialize<Pair>(line, JsonLayout.RecordLine)!)];

    private static Dictionary<string, double> ReadFigures(string file) =>
        File.Exists(file) ? JsonSerializer.Deserialize<Dictionary<string, double>>(File.ReadAllText(file))! : [];

    private int RoundOf(int step) => (int)((step - 1) * (long)spec.Rounds / steps);

    /// <inheritdoc/>
    protected override Item At(Cursor cursor) =>
        items[new Permutation(items.Count, seed, $"{stage} round {round}", cursor.Epoch)[cursor.Place]];

    private sealed record Pair(
        string Key,
        string Prompt,
        string Chosen,
        string Rejected,
        double ChosenScore,
        double RejectedScore,
        int[] PromptIds,
        int[] ChosenIds,
        int[] RejectedIds,
        float[] Reference);

    private static Item ToItem(Pair pair)
    {
        TokenRow Row(int[] answer) =>
            new([.. pair.PromptIds, .. answer], [.. pair.PromptIds.Select(_ => 0f), .. answer.Select(_ => 1f)], pair.Key);
        return new Item([Row(pair.ChosenIds), Row(pair.RejectedIds)], pair.Reference);
    }

    private (List<Pair> Pairs, Dictionary<string, double> Figures) Sample(int due, CancellationToken cancellation)
    {
        var order = new Permutation(prompts.Count, seed, $"{stage} prompts", 0);
        var chosen = Enumerable.Range(0, Math.Min(spec.Prompts, prompts.Count))
            .Select(i => prompts[order[(int)(((long)due * spec.Prompts + i) % prompts.Count)]]).ToList();
        var settings = new SamplingSettings(
            spec.Temperature, MaxNewTokens: spec.MaxNewTokens, Seed: (long)new RandomStream(seed, stage, due).NextBits());
        var asked = chosen.SelectMany(prompt => Enumerable.Repeat(prompt.Message, spec.Answers)).ToList();
        var answers = model.Answer(asked, settings, cancellation);
        var pairs = new List<Pair>();
        var sums = new double[rewards.Count];
        for (var p = 0; p < chosen.Count; p++)
        {
            var texts = Enumerable.Range(p * spec.Answers, spec.Answers).Select(i => model.Tokenizer.Decode(answers[i].Tokens)).ToList();
            var scores = texts.Select(text => Judge(text, chosen[p].Fields, sums)).ToList();
            int best = scores.IndexOf(scores.Max()), worst = scores.IndexOf(scores.Min());
            if (scores[best] <= scores[worst]) continue;
            var ids = model.Contract.Encode([new Turn(chosen[p].Message)], model.Tokenizer);
            int[] Ids(int i) => Ended(answers[p * spec.Answers + i]);
            pairs.Add(new Pair(
                chosen[p].Key,
                chosen[p].Message,
                texts[best],
                texts[worst],
                scores[best],
                scores[worst],
                ids,
                Ids(best),
                Ids(worst),
                []));
        }
        var figures = rewards.Select((reward, i) => (reward.Name, Mean: sums[i] / asked.Count))
            .ToDictionary(pair => pair.Name, pair => pair.Mean);
        figures["pairs"] = pairs.Count;
        return (
            [.. pairs.Zip(ReferenceScores.Of(pairs.Select(ToItem), model.Model), (pair, sums) => pair with { Reference = sums })], figures);
    }

    private double Judge(string text, IReadOnlyDictionary<string, string> fields, double[] sums)
    {
        var total = 0.0;
        for (var i = 0; i < rewards.Count; i++)
        {
            var score = rewards[i].Reward.Score(text, fields);
            sums[i] += score;
            total += rewards[i].Weight * score;
        }
        return total;
    }

    // The end token is part of the answer, unless the answer was stopped because of its length or the context's.
    private static int[] Ended(GeneratedTokens answer) => answer.End is { } end ? [.. answer.Tokens, end] : answer.Tokens;
}
