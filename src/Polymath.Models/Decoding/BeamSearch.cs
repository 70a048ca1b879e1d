using static TorchSharp.torch;

namespace Polymath.Models.Decoding;

/// <summary>
/// Beam search as in transformers: the most likely partial answers (beams) are continued in parallel. A finished answer is kept with its
/// log-probability divided by a power of its length. The search ends when no open beam can become better than the worst kept answer.
/// </summary>
/// <param name="model">The model.</param>
/// <param name="ends">The tokens that end an answer; they are not part of it.</param>
public sealed class BeamSearch(LanguageModel model, IReadOnlyCollection<int> ends)
{
    private sealed record Beam(int Slot, int[] Tokens, double Score, int? End = null);

    /// <summary>The most likely answer to a prompt.</summary>
    /// <param name="prompt">The prompt's tokens.</param>
    /// <param name="settings">The number of beams, the maximum length, and the length penalty.</param>
    /// <param name="cancellation">Stops between two tokens.</param>
    public GeneratedTokens Find(int[] prompt, SamplingSettings settings, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(settings);
        using var frozen = no_grad();
        var limit = Math.Min(settings.MaxNewTokens, model.RoomFor(prompt.Length));
        using var cache = model.NewCache(settings.Beams, model.PlacesFor(prompt.Length, limit));
        List<Beam> open = [new(0, [], 0)], kept = [];
        double Worth(double score, int length) => score / Math.Pow(Math.Max(length, 1), settings.LengthPenalty);
        for (var length = 1; length <= limit && open.Count > 0; length++)
        {
            cancellation.ThrowIfCancellationRequested();
            var next = Candidates(open, prompt, cache, settings);
            var going = new List<Beam>();
            for (var rank = 0; rank < next.Count && going.Count < settings.Beams; rank++)
            {
                var (parent, token, score) = next[rank];
                if (!ends.Contains(token)) going.Add(new Beam(parent.Slot, [.. parent.Tokens, token], score));
                // An end token counts only among the best candidates: a later one would lose to the beams that continue.
                else if (rank < settings.Beams) kept.Add(new Beam(-1, parent.Tokens, Worth(score, length), token));
            }
            kept = [.. kept.OrderByDescending(beam => beam.Score).Take(settings.Beams)];
            if (kept.Count == settings.Beams && Worth(going.Max(beam => beam.Score), length) <= kept[^1].Score)
                return new GeneratedTokens(kept[0].Tokens, kept[0].End);
            // Each beam continues in its own slot, with the cache of its parent.
            cache.Reorder([.. going.Select(beam => beam.Slot), .. Enumerable.Repeat(going[0].Slot, settings.Beams - going.Count)]);
            open = [.. going.Select((beam, slot) => beam with { Slot = slot })];
        }
        var best = kept.Concat(open.Select(beam => beam with { Score = Worth(beam.Score, beam.Tokens.Length) }))
            .MaxBy(beam => beam.Score)!;
        return new GeneratedTokens(best.Tokens, best.End);
    }

    // The most likely continuations of all open beams: twice as many as beams, plus one for each end token, so that enough of them
    // continue.
    private List<(Beam Parent, int Token, double Score)> Candidates(
        List<Beam> open, int[] prompt, KeyValueCache cache, SamplingSettings settings)
    {
        using var scope = NewDisposeScope();
        var slots = open.Select(beam => beam.Slot).ToArray();
        using var batch = open[0].Tokens.Length == 0
            ? model.Begin([prompt], slots)
            : Batch.Continue([.. open.Select(beam => new[] { beam.Tokens[^1] })], slots, [.. slots.Select(slot => cache.Lengths[slot])]);
        using var places = batch.LastPlaces();
        var logits = model.Unembed(model.Hidden(batch, cache).index_select(0, places));
        LogitCheck.Require(logits, open[0].Tokens.Length + 1);
        if (settings.RepetitionPenalty != 1 || settings.PresencePenalty != 0)
        {
            // Penalties change log-probabilities here, as in transformers' beam search.
            var bent = logits.log_softmax(-1).cpu().contiguous().data<float>().ToArray();
            for (var i = 0; i < open.Count; i++)
                Penalties.Apply(
                    bent.AsSpan(i * model.Sizes.VocabularySize, model.Sizes.VocabularySize),
                    model.Continued(prompt),
                    [.. open[i].Tokens],
                    settings);
            logits = tensor(bent, [open.Count, model.Sizes.VocabularySize]);
        }
        else logits = logits.log_softmax(-1);
        var many = (int)Math.Min((1 + Math.Max(1, ends.Count)) * settings.Beams, logits.shape[1]);
        var (values, indices) = logits.topk(many, -1);
        float[] scores = values.cpu().contiguous().data<float>().ToArray();
        var tokens = indices.cpu().contiguous().data<long>().ToArray();
        return [.. open
            .SelectMany((beam, i) => Enumerable.Range(i * many, many)
                .Select(at => (Parent: beam, Token: (int)tokens[at], Score: beam.Score + scores[at])))
            .OrderByDescending(item => item.Score)
            .Take(many)];
    }
}
