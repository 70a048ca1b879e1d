using Polymath.Models.Decoding;
using Polymath.Text;

namespace Polymath.Tests.Models;

/// <summary>Chooses tokens from logits in the plain way, with a whole sort of the vocabulary: the reference of the kernel.</summary>
internal static class PlainSampler
{
    /// <summary>exp((x − max x) / temperature) of one row of logits, in 32 bits; for temperature 0 the logits.</summary>
    internal static float[] Weights(float[] logits, double temperature)
    {
        if (temperature == 0) return [.. logits];
        using var scope = TorchSharp.torch.NewDisposeScope();
        var scaled = TorchSharp.torch.tensor(logits) * (float)Math.Min(1 / temperature, 1e30);
        return (scaled - scaled.max()).exp().data<float>().ToArray();
    }

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
