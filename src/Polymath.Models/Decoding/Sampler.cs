using Polymath.Recipes;
using Polymath.Text;

namespace Polymath.Models.Decoding;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">What logits are divided by; 0 takes the most probable token.</param>
/// <param name="TopK">Only the K most probable tokens; 0 for all.</param>
/// <param name="TopP">Only the most probable tokens that together reach this probability (Holtzman et al. 2020).</param>
/// <param name="MaxNewTokens">The most tokens of an answer.</param>
/// <param name="Seed">The seed.</param>
public sealed record SamplingSettings(double Temperature = 0.8, int TopK = 0, double TopP = 1, int MaxNewTokens = 128, long Seed = 0)
{
    /// <summary>Throws when a number is out of its range.</summary>
    public void Check()
    {
        if (!(Temperature >= 0) || double.IsInfinity(Temperature)) throw new InputException($"temperature is {Temperature}; it must be 0 (greedy) or more.");
        if (TopK < 0) throw new InputException($"top-k is {TopK}; it must be 0 (all tokens) or more.");
        if (TopP is not (> 0 and <= 1)) throw new InputException($"top-p is {TopP}; it must lie above 0 and up to 1.");
        if (MaxNewTokens < 1) throw new InputException($"max-new-tokens is {MaxNewTokens}; it must be at least 1.");
    }
}

/// <summary>Chooses tokens from logits.</summary>
static class Sampler
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

    // Sets the weights of all other tokens to zero and gives the sum of the rest.
    static double Restrict(Span<float> weights, SamplingSettings settings, double total)
    {
        var order = new int[weights.Length];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        var values = weights.ToArray();
        Array.Sort(order, (a, b) => values[b] != values[a] ? values[b].CompareTo(values[a]) : a.CompareTo(b));
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
