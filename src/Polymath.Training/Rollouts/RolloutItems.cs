using System.Text.Json;
using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives;
using Polymath.Training.Rewards;
using static TorchSharp.torch;

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
/// <param name="told">Receives each round's figures: round, name, value.</param>
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
    Action<int, string, double> told) : ItemSource
{
    private const int TokensAtOnce = 8192;

    private IReadOnlyList<Item> items = [];
    private int round = -1;

    /// <inheritdoc/>
    public override int Count => items.Count;

    /// <inheritdoc/>
    public override void Prepare(int step, CancellationToken cancellation)
    {
        var due = RoundOf(step);
        if (due == round) return;
        var answers = Round(due, cancellation);
        var begins = step == 1 || RoundOf(step - 1) != due;
        items = Some(due, answers);
        // A run that was stopped during the round's first step has lost the figures of that step.
        if (begins)
            foreach (var (name, value) in Figures(answers)) told(due + 1, name, value);
        // A resumed run is inside a round, so its cursor is kept.
        if (begins) Cursor = default;
        round = due;
    }

    /// <inheritdoc/>
    public override void PrepareLook(CancellationToken cancellation) => items = Some(0, Round(0, cancellation));

    private IReadOnlyList<Item> Some(int due, List<SampledAnswer> answers) => estimator.Items(answers) is { Count: > 0 } some
        ? some
        : throw new RunFailedException($"Stage {stage}, round {due + 1}: all answers to each prompt have the same score, so there are no "
            + $"{estimator.Figure} to learn from. Ask for more answers or a higher temperature, or use finer rewards.");

    // A round is sampled once and read from its file from then on; one that teaches nothing has no file.
    private List<SampledAnswer> Round(int due, CancellationToken cancellation)
    {
        var file = Path.Combine(folder, $"round-{due + 1:D3}.jsonl");
        if (File.Exists(file))
            return [.. File.ReadLines(file).Select(line => JsonSerializer.Deserialize<SampledAnswer>(line, JsonLayout.RecordLine)!)];
        var answers = Sample(due, cancellation);
        var chosen = estimator.Chosen(answers);
        if (chosen.Count == 0)
            return answers;
        Score(answers, chosen, cancellation);
        AtomicFile.WriteText(
            file, string.Concat(answers.Select(answer => JsonSerializer.Serialize(answer, JsonLayout.RecordLine) + "\n")));
        return answers;
    }

    private Dictionary<string, double> Figures(List<SampledAnswer> answers)
    {
        var figures = judge.Names.ToDictionary(name => name, name => answers.Average(answer => answer.Rewards[name]) ?? double.NaN);
        figures[estimator.Figure] = items.Count;
        return figures;
    }

    private int RoundOf(int step) => (int)((step - 1) * (long)spec.Rounds / steps);

    /// <inheritdoc/>
    protected override Item At(Cursor cursor) =>
        items[new Permutation(items.Count, seed, $"{stage} round {round}", cursor.Epoch)[cursor.Place]];

    private List<SampledAnswer> Sample(int due, CancellationToken cancellation)
    {
        var order = new Permutation(prompts.Count, seed, $"{stage} prompts", 0);
        var chosen = Enumerable.Range(0, Math.Min(spec.Prompts, prompts.Count))
            .Select(i => prompts[order[(int)(((long)due * spec.Prompts + i) % prompts.Count)]]).ToList();
        var settings = new SamplingSettings(
            spec.Temperature, MaxNewTokens: spec.MaxNewTokens, Seed: (long)new RandomStream(seed, stage, due).NextBits());
        var asked = chosen.SelectMany(prompt => Enumerable.Repeat(prompt.Message, spec.Answers)).ToList();
        var given = model.Answer(asked, settings, cancellation);
        var ids = chosen.ConvertAll(prompt => model.Contract.Encode([new Turn(prompt.Message)], model.Tokenizer));
        List<AskedAnswer> all =
        [
            .. given.Select((answer, i) => new AskedAnswer(
                chosen[i / spec.Answers].Message,
                model.Tokenizer.Decode(answer.Tokens),
                chosen[i / spec.Answers].Fields)),
        ];
        var judged = judge.Of(all, cancellation);
        return [.. given.Select((answer, i) => new SampledAnswer(
            chosen[i / spec.Answers].Key,
            i / spec.Answers,
            all[i].Prompt,
            all[i].Answer,
            judged[i].Said,
            judged[i].Total,
            ids[i / spec.Answers],
            Ended(answer),
            []))];
    }

    // The policy's own scores, without dropout, at the temperature that the estimator learns at.
    private void Score(List<SampledAnswer> answers, IReadOnlyList<int> chosen, CancellationToken cancellation)
    {
        using var frozen = no_grad();
        foreach (var part in TokenChunks.Of(
            chosen, i => answers[i].PromptIds.Length + answers[i].AnswerIds.Length, TokensAtOnce))
        {
            cancellation.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var batch = model.Model.Lay([.. part.Select(i => answers[i].Row())]);
            var values = SampledAnswers.Values(model.Model, batch, estimator.Temperature);
            var each = values.Each.cpu().data<float>().ToArray();
            var from = 0;
            for (var row = 0; row < part.Count; row++)
            {
                var length = values.Rows.Lengths[row];
                answers[part[row]] = answers[part[row]] with { LogProbabilities = each[from..(from + length)] };
                from += length;
            }
        }
    }

    // The end token is part of the answer, unless the answer was stopped because of its length or the context's.
    private static int[] Ended(GeneratedTokens answer) => answer.End is { } end ? [.. answer.Tokens, end] : answer.Tokens;
}
