using Polymath.Models;
using Polymath.Models.Decoding;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Training.Objectives.Policies;
using Polymath.Training.Rewards;

namespace Polymath.Training.Rollouts;

/// <summary>Answers prompts several times with the current model, and has the answers judged.</summary>
/// <param name="model">The model.</param>
/// <param name="prompts">The prompts to choose from.</param>
/// <param name="judge">Scores the answers.</param>
/// <param name="spec">How answers are sampled.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="stage">The stage's name.</param>
internal sealed class RolloutSampler(
    TextModel model,
    IReadOnlyList<RolloutPrompt> prompts,
    Judge judge,
    RolloutSpec spec,
    long seed,
    string stage)
{
    private readonly OverlongPenalty? overlong =
        spec.OverlongBuffer > 0 ? new OverlongPenalty(spec.MaxNewTokens, spec.OverlongBuffer) : null;

    /// <summary>The judge.</summary>
    internal Judge Judge => judge;

    /// <summary>Judged answers to the next prompts.</summary>
    /// <param name="random">Seeds the round.</param>
    /// <param name="from">How many prompts were asked before, over all rounds.</param>
    /// <param name="firstGroup">The number of the first prompt in its round.</param>
    /// <param name="stop">Stops between two tokens.</param>
    internal IReadOnlyList<SampledAnswer> Sample(
        RandomStream random,
        long from,
        int firstGroup,
        CancellationToken stop)
    {
        var order = new Permutation(prompts.Count, seed, $"{stage} prompts", 0);
        var chosen = Enumerable.Range(0, Math.Min(spec.Prompts, prompts.Count))
            .Select(i => prompts[order[(int)((from + i) % prompts.Count)]]).ToList();
        var settings = new SamplingSettings(spec.Temperature, MaxNewTokens: spec.MaxNewTokens, Seed: (long)random.NextBits());
        var messages = chosen.SelectMany(prompt => Enumerable.Repeat(prompt.Message, spec.Answers)).ToList();
        var given = model.Answer(messages, settings, scored: true, stop);
        List<AskedAnswer> asked =
        [
            .. given.Select((answer, i) => new AskedAnswer(
                messages[i],
                model.Tokenizer.Decode(answer.Tokens),
                chosen[i / spec.Answers].Fields)),
        ];
        var judged = judge.Of(asked, stop);
        var ids = chosen.ConvertAll(prompt => model.Contract.Encode([new Turn(prompt.Message)], model.Tokenizer));
        return
        [
            .. given.Select((answer, i) => new SampledAnswer(
                chosen[i / spec.Answers].Key,
                firstGroup + i / spec.Answers,
                asked[i].Prompt,
                asked[i].Answer,
                judged[i].Said,
                Penalized(judged[i].Total, answer),
                ids[i / spec.Answers],
                Whole(answer),
                [],
                answer.End is not null) { Sampled = answer.Scores }),
        ];
    }

    private double? Penalized(double? score, GeneratedTokens answer) =>
        score + (overlong?.Of(Whole(answer).Length) ?? 0) - (answer.End is null ? spec.UnfinishedPenalty : 0);

    // The end token is part of the answer, unless the answer was stopped because of its length or the context's.
    private static int[] Whole(GeneratedTokens answer) => answer.End is { } end ? [.. answer.Tokens, end] : answer.Tokens;
}
