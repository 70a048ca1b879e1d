using Polymath.Models;
using Polymath.Text.Packing;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts.Searches;

/// <summary>A template that is being written: tokens of an encoder-decoder's answer, with the gaps' tokens between the parts.</summary>
/// <param name="Ids">The tokens.</param>
/// <param name="Score">Σ of its tokens' scores, see <see cref="TemplateScore"/>.</param>
/// <param name="PartsDone">How many parts are finished.</param>
/// <param name="PartLength">The tokens of the part being written, less one.</param>
public sealed record TemplateBeam(
    IReadOnlyList<int> Ids,
    double Score,
    int PartsDone,
    int PartLength);

/// <summary>How a token of a template is scored over all examples.</summary>
public enum TemplateScore
{
    /// <summary>The log-softmax of the mean of its logits, as in LM-BFF's published code.</summary>
    Logits,

    /// <summary>The mean of its log-probabilities, in whose order the paper's Σ log p is.</summary>
    Likelihood,
}

/// <summary>The settings of a search for templates.</summary>
/// <param name="Width">How many beams are kept.</param>
/// <param name="MaxLength">The most tokens of an answer, with its start and end.</param>
/// <param name="Parts">How many parts are written.</param>
/// <param name="Gaps">The tokens of the gaps, in order; the one after a part ends it.</param>
/// <param name="End">The token that ends an answer; it ends a part too.</param>
/// <param name="Stop">The token of a full stop, which does not follow itself.</param>
/// <param name="Forbidden">Tokens that are never written.</param>
/// <param name="LeastLengths">The fewest tokens of each part; null for any number.</param>
/// <param name="Score">How a token is scored over all examples.</param>
public sealed record TemplateSettings(
    int Width,
    int MaxLength,
    int Parts,
    IReadOnlyList<int> Gaps,
    int End,
    int Stop,
    IReadOnlyCollection<int> Forbidden,
    IReadOnlyList<int>? LeastLengths = null,
    TemplateScore Score = TemplateScore.Logits);

/// <summary>
/// LM-BFF's search for templates (Gao et al. 2021, section 5.2): an encoder-decoder such as T5 writes what stands between an example and
/// its label word, for all examples together.
/// </summary>
public static class TemplateSearch
{
    /// <summary>The best beams, the best first.</summary>
    /// <param name="model">The encoder-decoder.</param>
    /// <param name="sources">What the encoder reads, for each example.</param>
    /// <param name="start">The token that starts an answer.</param>
    /// <param name="settings">The settings.</param>
    /// <param name="cancellation">Stops between two beams.</param>
    public static IReadOnlyList<TemplateBeam> Find(
        LanguageModel model,
        IReadOnlyList<int[]> sources,
        int start,
        TemplateSettings settings,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(settings);
        IReadOnlyList<TemplateBeam> beams = [new([], 0, 0, -1)];
        for (var step = 0; step < settings.MaxLength - 2; step++)
        {
            List<TemplateBeam> next = [.. beams.SelectMany(beam =>
            {
                cancellation.ThrowIfCancellationRequested();
                return beam.PartsDone >= settings.Parts ? [beam] : Grown(beam, Next(
                    model,
                    sources,
                    [start, .. beam.Ids],
                    settings.Score), settings);
            })];
            if (next.Count == 0) break;
            beams = [.. next.OrderByDescending(beam => beam.Score).Take(settings.Width)];
        }
        return beams;
    }

    // The scores [V] of tokens after what is written.
    private static float[] Next(
        LanguageModel model,
        IReadOnlyList<int[]> sources,
        int[] written,
        TemplateScore score)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = model.LayPairs(sources, [.. sources.Select(_ => new TokenRow(written, new float[written.Length], "template"))]);
        var logits = model.Unembed(model.Hidden(batch).index_select(0, batch.LastPlaces().to(model.Device)));
        var scores = score == TemplateScore.Logits ? logits.mean([0L]).log_softmax(-1) : logits.log_softmax(-1).mean([0L]);
        return scores.to(ScalarType.Float32).cpu().contiguous().data<float>().ToArray();
    }

    private static IEnumerable<TemplateBeam> Grown(TemplateBeam beam, float[] scores, TemplateSettings settings)
    {
        // Three more than are kept, since some are forbidden.
        foreach (var word in Enumerable.Range(0, scores.Length).OrderByDescending(word => scores[word]).Take(settings.Width + 3))
        {
            if (settings.Forbidden.Contains(word)) continue;
            if (word == settings.Stop && beam.Ids.Count > 0 && beam.Ids[^1] == settings.Stop) continue;
            var ends = word == settings.End || word == settings.Gaps[beam.PartsDone + 1];
            if (ends && settings.LeastLengths is { } least && beam.PartLength < least[beam.PartsDone]) continue;
            yield return new(
                [.. beam.Ids, word],
                beam.Score + scores[word],
                beam.PartsDone + (ends ? 1 : 0),
                ends ? 0 : beam.PartLength + 1);
        }
    }
}
