using System.Diagnostics;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Training.Objectives;

namespace Polymath.Training.Rollouts;

/// <summary>
/// A source of answers that the current model samples. Each round answers prompts several times, a judge scores the answers, and an
/// estimator makes items of them. A round's file says what was asked, answered and judged, with the log-probabilities of the policy that
/// sampled, so that a stopped run goes on inside a round with the same bits.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="prompts">The prompts to choose from.</param>
/// <param name="judge">Scores the answers.</param>
/// <param name="estimator">Makes items of them.</param>
/// <param name="spec">How answers are sampled.</param>
/// <param name="steps">The stage's steps.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="stage">The stage's name.</param>
/// <param name="folder">The folder of the rounds' files.</param>
/// <param name="told">Receives each round's figures: round, name, value, and the tokens a second where they were sampled now.</param>
public sealed class RolloutItems(
    TextModel model,
    IReadOnlyList<RolloutPrompt> prompts,
    Judge judge,
    Estimator estimator,
    RolloutSpec spec,
    int steps,
    long seed,
    string stage,
    string folder,
    Action<int, string, double, double?> told) : ItemSource
{
    private const string Length = "answer tokens";

    private readonly RolloutSampler sampler = new(
        model,
        prompts,
        judge,
        spec,
        seed,
        stage);

    // The answers to each prompt, all of them, and all in the order of a pass.
    private IReadOnlyList<IReadOnlyList<Item>> groups = [];
    private List<Item> items = [];
    private long pass = -1;
    private int round = -1, followed;
    private double? speed;
    private long asked;

    /// <summary>The policy at the start of the stage, where the estimator compares with it.</summary>
    public StartingPolicy? Start { get; init; }

    /// <summary>Is told what went wrong with rewards.</summary>
    public Action<string> Note { get; init; } = _ => { };

    /// <inheritdoc/>
    public override int Count => items.Count;

    /// <inheritdoc/>
    public override void Prepare(int step, CancellationToken cancellation)
    {
        var due = RoundOf(step);
        if (due == round) return;
        var answers = Round(due, cancellation);
        var begins = step == 1 || RoundOf(step - 1) != due;
        Deal(Some(due, answers));
        // A run that was stopped during the round's first step has lost the figures of that step.
        if (begins) Tell(due, answers);
        // A resumed run is inside a round, so its cursor is kept.
        if (begins) Cursor = default;
        round = due;
    }

    /// <inheritdoc/>
    public override void PrepareLook(CancellationToken cancellation) => Deal(Some(0, Round(0, cancellation)));

    private IReadOnlyList<Item> Some(int due, List<SampledAnswer> answers)
    {
        if (estimator.Items(answers) is { Count: > 0 } some) return some;
        throw new RunFailedException($"Stage {stage}, round {due + 1}: " + (answers.All(answer => answer.Score is null)
            ? "no reward gave any answer a score. Look at the rewards, which the notes before this one speak of."
            : $"all answers to each prompt have the same score, so there are no {estimator.Figure} to learn from. Ask for more answers "
                + "or a higher temperature, or use finer rewards."));
    }

    // A round is sampled once and read from its file from then on; one that teaches nothing has no file.
    private List<SampledAnswer> Round(int due, CancellationToken cancellation)
    {
        speed = null;
        for (; followed < due; followed++)
        {
            var before = RolloutFiles.ReadRound(RolloutFiles.Of(folder, followed));
            asked += before.Select(answer => answer.Group).Distinct().Count();
            estimator.Follow(before);
        }
        var file = RolloutFiles.Of(folder, due);
        if (File.Exists(file)) return RolloutFiles.ReadRound(file);
        var clock = Stopwatch.StartNew();
        var answers = Sample(due, cancellation);
        speed = Math.Round(answers.Sum(answer => answer.AnswerIds.Length) / clock.Elapsed.TotalSeconds, 1);
        foreach (var failure in judge.Failures()) Note(failure);
        var chosen = estimator.Chosen(answers);
        if (chosen.Count == 0) return answers;
        new RoundScores(model.Model, estimator, Start).Score(answers, chosen, cancellation);
        RolloutFiles.Write(file, answers);
        return answers;
    }

    // Prompts whose answers all score alike are made up for by others, as often as the settings allow.
    private List<SampledAnswer> Sample(int due, CancellationToken cancellation)
    {
        var random = new RandomStream(seed, stage, due);
        var answers = new List<SampledAnswer>();
        for (var more = 0; more <= spec.Resample; more++)
        {
            var groups = answers.Select(answer => answer.Group).Distinct().Count();
            answers.AddRange(sampler.Sample(
                random,
                asked + groups,
                groups,
                cancellation));
            if (estimator.Chosen(answers).Select(i => answers[i].Group).Distinct().Count() >= Math.Min(spec.Prompts, prompts.Count)) break;
        }
        return answers;
    }

    private void Tell(int due, List<SampledAnswer> answers)
    {
        foreach (var (name, value) in Figures(answers)) told(due + 1, name, value, name == Length ? speed : null);
        var first = RolloutFiles.Of(folder, 0);
        if (due == 0 || !File.Exists(first)) return;
        foreach (var warning in RewardWatch.Warnings(RolloutFiles.ReadRound(first), answers, judge.Probes))
            Note($"round {due + 1}: {warning}");
    }

    private List<(string Name, double Value)> Figures(List<SampledAnswer> answers)
    {
        List<(string Name, double Value)> figures =
        [
            .. judge.Names.Select(name => (name, answers.Average(answer => answer.Rewards[name]) ?? double.NaN)),
            .. judge.Probes.Select(name => ("probe " + name, answers.Average(answer => answer.Rewards[name]) ?? double.NaN)),
            ("score", answers.Average(answer => answer.Score) ?? double.NaN),
            (estimator.Figure, items.Count),
            (Length, answers.Average(answer => answer.AnswerIds.Length)),
            ("unfinished", answers.Average(answer => answer.Ended ? 0.0 : 1)),
        ];
        if (RewardWatch.LengthBias(answers) is { } bias) figures.Add(("length bias", bias));
        if (answers.Any(answer => answer.Score is null))
            figures.Add(("without a score", answers.Average(answer => answer.Score is null ? 1.0 : 0)));
        var known = answers.Where(answer => answer.LogProbabilities.Length > 0).ToList();
        // The mean of −log π over tokens that the policy sampled itself estimates its entropy.
        if (known.Count > 0) figures.Add(("entropy", -known.Average(answer => answer.LogProbabilities.Average(log => (double)log))));
        figures.AddRange(SamplerGap(known));
        var compared = known.Where(answer => answer.Reference is not null).ToList();
        if (compared.Count > 0)
            figures.Add((
                "kl from the start",
                compared.Average(answer => answer.LogProbabilities.Zip(answer.Reference!, (own, start) => (double)own - start).Sum())));
        figures.AddRange(estimator.Figures(answers));
        return figures;
    }

    // How far the sampler's log-probabilities are from the trainer's, which the loss takes for those of the policy that sampled. They are
    // comparable at the same temperature only.
    private IEnumerable<(string Name, double Value)> SamplerGap(List<SampledAnswer> known)
    {
        if (estimator.Temperature != spec.Temperature) return [];
        var gaps = known.SelectMany(answer =>
            answer.Sampled?.Zip(answer.LogProbabilities, (sampled, own) => Math.Abs((double)sampled - own)) ?? []).ToList();
        return gaps.Count == 0 ? [] : [("sampler gap", gaps.Average()), ("greatest sampler gap", gaps.Max())];
    }

    private int RoundOf(int step) => (int)((step - 1) * (long)spec.Rounds / steps);

    private void Deal(IReadOnlyList<Item> some)
    {
        groups = SharedItems.Groups(some);
        items = [.. some];
        pass = -1;
    }

    /// <inheritdoc/>
    protected override Item At(Cursor cursor)
    {
        if (pass != cursor.Epoch)
        {
            // Prompt by prompt: a pass over rows reads a prompt once for all answers to it, and a group's advantages meet in one step.
            var order = new Permutation(groups.Count, seed, $"{stage} round {round}", cursor.Epoch);
            items = [.. Enumerable.Range(0, groups.Count).SelectMany(place => groups[order[place]])];
            pass = cursor.Epoch;
        }
        return items[cursor.Place];
    }
}
