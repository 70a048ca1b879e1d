using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Models.Decoding;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">Logits are divided by it; 0 chooses the most probable token.</param>
/// <param name="TopK">Only the K most probable tokens; 0 for all.</param>
/// <param name="TopP">Only the most probable tokens that together reach this probability (Holtzman et al. 2020), of those that
/// <paramref name="TopK"/> leaves.</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Seed">The seed.</param>
/// <param name="MinP">Only tokens with at least this share of the most probable token's probability (Nguyen et al. 2024); 0 for
/// all.</param>
/// <param name="RepetitionPenalty">The logit of a token that is in the prompt or the answer is divided by this, or multiplied when it is
/// below zero (Keskar et al. 2019); 1 for none. An encoder's source is not what the decoder repeats, and is spared.</param>
/// <param name="PresencePenalty">This is subtracted from the logit of a token that is in the answer; 0 for none.</param>
/// <param name="Beams">The number of beams, of which the most likely is returned; 1 for no beam search. With beams, nothing is
/// sampled.</param>
/// <param name="LengthPenalty">When beams are compared, the log-probability is divided by the answer's length to this power.</param>
public sealed record SamplingSettings(
    double Temperature = 0.8,
    int TopK = 0,
    double TopP = 1,
    int MaxNewTokens = 128,
    long Seed = 0,
    double MinP = 0,
    double RepetitionPenalty = 1,
    double PresencePenalty = 0,
    int Beams = 1,
    double LengthPenalty = 1)
{
    /// <summary>Texts that end an answer; they are not part of it.</summary>
    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>Throws when a number is out of its range.</summary>
    public void Check()
    {
        if (!(Temperature >= 0) || double.IsInfinity(Temperature))
            throw new InputException($"temperature is {Temperature}; it must be 0 (greedy) or more.");
        if (TopK < 0) throw new InputException($"top-k is {TopK}; it must be 0 (all tokens) or more.");
        if (TopP is not (> 0 and <= 1)) throw new InputException($"top-p is {TopP}; it must be above 0 and at most 1.");
        if (MinP is not (>= 0 and <= 1)) throw new InputException($"min-p is {MinP}; it must be from 0 to 1.");
        if (!(RepetitionPenalty > 0) || double.IsInfinity(RepetitionPenalty))
            throw new InputException($"repetition-penalty is {RepetitionPenalty}; it must be above 0, 1 for none.");
        if (!double.IsFinite(PresencePenalty))
            throw new InputException($"presence-penalty is {PresencePenalty}; it must be a number, 0 for none.");
        if (Beams < 1) throw new InputException($"beams is {Beams}; it must be at least 1.");
        if (!double.IsFinite(LengthPenalty)) throw new InputException($"length-penalty is {LengthPenalty}; it must be a number.");
        if (Stops.Any(stop => stop.Length == 0)) throw new InputException("A stop text is empty; every answer would end at once.");
        if (MaxNewTokens < 1) throw new InputException($"max-new-tokens is {MaxNewTokens}; it must be at least 1.");
    }
}

/// <summary>Chooses tokens from logits.</summary>
internal static class Sampler
{
    /// <summary>A token; the same random stream gives the same choice.</summary>
    /// <param name="weights">Unnormalised probabilities; logits when the temperature is 0.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="random">The row's stream.</param>
    internal static int Choose(Span<float> weights, SamplingSettings settings, ref RandomStream random)
    {
        if (settings.Temperature == 0 || settings.TopK == 1) return Greatest(weights);
        double total = 0;
        foreach (var weight in weights) total += weight;
        if (settings.TopK > 0 || settings.TopP < 1) total = Restrict(weights, settings, total);
        if (settings.MinP > 0) total = Floor(weights, settings.MinP);
        var target = random.NextDouble() * total;
        for (var i = 0; i < weights.Length; i++)
            if ((target -= weights[i]) < 0 && weights[i] > 0) return i;
        return Greatest(weights);
    }

    internal static int Greatest(ReadOnlySpan<float> logits)
    {
        var best = 0;
        for (var i = 1; i < logits.Length; i++)
            if (logits[i] > logits[best]) best = i;
        return best;
    }

    // Sets the weights below a share of the largest to zero and returns the sum of the rest.
    private static double Floor(Span<float> weights, double share)
    {
        var least = weights[Greatest(weights)] * share;
        double kept = 0;
        foreach (ref var weight in weights)
        {
            if (weight < least) weight = 0;
            kept += weight;
        }
        return kept;
    }

    /// <summary>Makes tokens that occurred before less probable.</summary>
    /// <param name="logits">The logits.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="answer">The answer so far.</param>
    /// <param name="settings">The penalties.</param>
    internal static void Penalise(Span<float> logits, int[] prompt, List<int> answer, SamplingSettings settings)
    {
        if (settings.RepetitionPenalty != 1)
            foreach (var token in prompt.Concat(answer).Distinct())
                logits[token] =
                    (float)(logits[token] > 0 ? logits[token] / settings.RepetitionPenalty : logits[token] * settings.RepetitionPenalty);
        if (settings.PresencePenalty != 0)
            foreach (var token in answer.Distinct()) logits[token] -= (float)settings.PresencePenalty;
    }

    // Sets the weights of all other tokens to zero and returns the sum of the rest. Top-p is a share of what top-k leaves, as in
    // transformers, vLLM and llama.cpp.
    private static double Restrict(Span<float> weights, SamplingSettings settings, double total)
    {
        var order = new int[weights.Length];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        var values = weights.ToArray();
        Array.Sort(order, (a, b) => values[b] != values[a] ? values[b].CompareTo(values[a]) : a.CompareTo(b));
        if (settings.TopK > 0 && settings.TopK < order.Length)
        {
            total = 0;
            foreach (var token in order.AsSpan(0, settings.TopK)) total += weights[token];
        }
        double kept = 0;
        var count = 0;
        foreach (var token in order)
        {
            if (count > 0 && ((settings.TopK > 0 && count >= settings.TopK) || kept >= settings.TopP * total)) weights[token] = 0;
            else
            {
                kept += weights[token];
                count++;
            }
        }
        return kept;
    }
}
