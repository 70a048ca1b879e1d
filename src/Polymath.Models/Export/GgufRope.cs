using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using static TorchSharp.torch;

namespace Polymath.Models.Export;

/// <summary>
/// Rotary positions as llama.cpp reads them: settings by key, and in some models a tensor with a divisor of each frequency.
/// </summary>
/// <param name="architecture">llama.cpp's name for the model.</param>
/// <param name="rope">The settings.</param>
/// <param name="width">The number of a head's elements that are rotated.</param>
/// <param name="context">The most tokens of a row.</param>
internal sealed class GgufRope(string architecture, RopeSettings rope, int width, int context)
{
    /// <summary>Adds them to a file.</summary>
    /// <param name="file">The file.</param>
    internal void AddTo(GgufWriter file)
    {
        file.Add($"{architecture}.rope.dimension_count", width);
        file.Add($"{architecture}.rope.freq_base", (float)rope.Theta);
        switch (rope.Type)
        {
            case "linear":
                file.Add($"{architecture}.rope.scaling.type", "linear");
                file.Add($"{architecture}.rope.scaling.factor", (float)rope.Factor);
                break;
            case "llama3":
                AddDivisors(file, 1);
                break;
            case "yarn":
                AddYarn(file);
                break;
            case "longrope":
                AddLong(file);
                break;
        }
        // llama.cpp's Phi-3 always needs it, to choose between the short and the long divisors.
        if (architecture == "phi3" && rope.Type is not ("yarn" or "longrope"))
            file.Add("phi3.rope.scaling.original_context_length", (int)rope.OriginalContext);
    }

    // llama.cpp has a ramp from 32 rotations to one and rounds its bounds to whole pairs. When this gives other frequencies, they are
    // written one by one.
    private void AddYarn(GgufWriter file)
    {
        var (frequencies, attention) = rope.For(width, context);
        var (theirs, _) = (rope with { Truncate = true, BetaFast = 32, BetaSlow = 1 }).For(width, context);
        if (!RoundsRamp && !frequencies.SequenceEqual(theirs))
        {
            AddDivisors(file, attention);
            return;
        }
        file.Add($"{architecture}.rope.scaling.type", "yarn");
        file.Add($"{architecture}.rope.scaling.factor", (float)rope.Factor);
        file.Add($"{architecture}.rope.scaling.original_context_length", (int)rope.OriginalContext);
        // In addition to the factor of the formula, which llama.cpp has.
        var own = rope.Factor <= 1 ? 1 : 0.1 * Math.Log(rope.Factor) + 1;
        // Its own scale is the score's, and the formula's factor is taken back.
        if (architecture == "deepseek2") own = attention;
        if (Math.Abs(attention / own - 1) > 1e-9) file.Add($"{architecture}.rope.scaling.attn_factor", (float)(attention / own));
    }

    /// <summary>
    /// Whether llama.cpp's own file of a model has other frequencies than the model: gpt-oss does not round its ramp, and llama.cpp, whose
    /// conversion leaves it so, does.
    /// </summary>
    internal bool RoundsRamp => architecture == "gpt-oss" && rope is { Type: "yarn", Truncate: false, BetaFast: 32, BetaSlow: 1 };

    // The divisors of the frequencies. llama.cpp reads them only in its llamas.
    private void AddDivisors(GgufWriter file, double attention)
    {
        if (architecture is not ("llama" or "llama4"))
            throw new InputException("Rotary positions of the type "
                + $"'{rope.Type}'{(rope.Type == "yarn" ? " with a ramp of its own (beta_fast, beta_slow, truncate)" : "")} cannot be "
                + $"exported to GGUF: llama.cpp's {architecture} reads no list of frequencies; only its llama and llama4 do.");
        var (frequencies, _) = rope.For(width, context);
        Divisors(file, "rope_freqs.weight", frequencies.Select((frequency, i) => Math.Pow(rope.Theta, -2.0 * i / width) / frequency));
        if (attention != 1) file.Add($"{architecture}.rope.scaling.attn_factor", (float)attention);
    }

    // llama.cpp uses the long divisors when it is started with a context beyond the original one.
    private void AddLong(GgufWriter file)
    {
        if (architecture is not ("llama" or "phi3" or "minicpm3"))
            throw new InputException($"Rotary positions of the type 'longrope' cannot be exported to GGUF: llama.cpp's {architecture} does "
                + "not know them, its llama, phi3 and minicpm3 do.");
        file.Add($"{architecture}.rope.scaling.type", "longrope");
        file.Add($"{architecture}.rope.scaling.original_context_length", (int)rope.OriginalContext);
        file.Add($"{architecture}.rope.scaling.attn_factor", (float)rope.For(width, context).Attention);
        Divisors(file, "rope_factors_long.weight", rope.LongFactors);
        Divisors(file, "rope_factors_short.weight", rope.ShortFactors);
    }

    private static void Divisors(GgufWriter file, string name, IEnumerable<double> divisors)
    {
        var values = divisors.Select(value => (float)value).ToArray();
        file.Add(new GgufTensor(name, [values.Length], BlockType.F32, () => tensor(values)));
    }
}
