namespace Polymath.Models.Parts;

/// <summary>Rotary positions and how they are stretched for longer contexts, as <c>rope_parameters</c> in a configuration says.</summary>
/// <param name="Theta">The base of the frequencies.</param>
public sealed record RopeSettings(double Theta = 10000)
{
    /// <summary>default, linear, dynamic, llama3, yarn, longrope, proportional or qwen (Qwen 1's way to grow with the row).</summary>
    public string Type { get; init; } = "default";

    /// <summary>The factor by which the context is stretched.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>The context before the stretch.</summary>
    public double OriginalContext { get; init; } = 8192;

    /// <summary>The share of a head that is rotated.</summary>
    public double Partial { get; init; } = 1;

    /// <summary>llama3: wavelengths above original/this are stretched in full.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>llama3: wavelengths below original/this are not changed.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>yarn: pairs with more rotations than this over the original context are not changed.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>yarn: pairs with fewer rotations than this are stretched in full.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>yarn: whether the bounds of the ramp are whole numbers.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>yarn and longrope: the factor of cosines and sines; null for the formula's value.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>yarn: the two parts of the attention factor (DeepSeek).</summary>
    public (double Scale, double AllDimensions)? AttentionScales { get; init; }

    /// <summary>longrope: each frequency's divisor up to the original context.</summary>
    public IReadOnlyList<double> ShortFactors { get; init; } = [];

    /// <summary>longrope: each frequency's divisor beyond it.</summary>
    public IReadOnlyList<double> LongFactors { get; init; } = [];

    /// <summary>The frequencies of R/2 pairs for a row of a length, and the factor of cosines and sines.</summary>
    /// <param name="width">R, the number of rotated elements.</param>
    /// <param name="length">The longest row's tokens: dynamic and longrope depend on it.</param>
    public (double[] Frequencies, double Attention) For(int width, int length)
    {
        var plain = Enumerable.Range(0, width / 2).Select(i => Math.Pow(Theta, -2.0 * i / width));
        switch (Type)
        {
            case "linear":
                return ([.. plain.Select(f => f / Factor)], 1);
            case "dynamic":
                // The base grows with the row (NTK-aware scaling), beyond the original context.
                var grown =
                    Theta * Math.Pow(Factor * Math.Max(length, OriginalContext) / OriginalContext - (Factor - 1), width / (width - 2.0));
                return ([.. Enumerable.Range(0, width / 2).Select(i => Math.Pow(grown, -2.0 * i / width))], 1);
            case "qwen":
                // Beyond the original context the base grows in steps, with each doubling of the row.
                var steps = length <= OriginalContext ? 1 : Math.Pow(2, Math.Ceiling(Math.Log2(length / OriginalContext) + 1)) - 1;
                var stepped = Theta * Math.Pow(Math.Max(steps, 1), width / (width - 2.0));
                return ([.. Enumerable.Range(0, width / 2).Select(i => Math.Pow(stepped, -2.0 * i / width))], 1);
            case "proportional":
                // The first pairs turn as if the whole head did; the rest do not turn (Gemma 4).
                return ([.. plain.Select((f, i) => i < (int)(Partial * width / 2) ? f / Factor : 0)], 1);
            case "llama3":
                return ([.. plain.Select(Llama3)], 1);
            case "yarn":
                return (Yarn(width), YarnAttention());
            case "longrope":
                var divisors = length > OriginalContext ? LongFactors : ShortFactors;
                var attention = AttentionFactor ?? (Factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(Factor) / Math.Log(OriginalContext)));
                return ([.. plain.Select((f, i) => f / divisors[i])], attention);
            default:
                return ([.. plain], 1);
        }
    }

    /// <summary>Refuses settings that do not fit a width.</summary>
    /// <param name="width">R, the number of rotated elements.</param>
    /// <exception cref="Polymath.Recipes.InputException">longrope does not have one divisor for each of the R/2 pairs.</exception>
    internal void Check(int width)
    {
        if (Type != "longrope") return;
        foreach (var (name, factors) in new[] { ("short_factor", ShortFactors), ("long_factor", LongFactors) })
        {
            if (factors.Count != width / 2)
                throw ConfigReader.Fault(name, $"has {factors.Count} numbers; {width} rotated elements of a head need {width / 2}");
        }
    }

    /// <summary>Whether the frequencies depend on the length of the row.</summary>
    public bool DependsOnLength => Type is "longrope" || Grows;

    /// <summary>Whether the frequencies change with every length beyond the original context.</summary>
    public bool Grows => Type is "dynamic" or "qwen";

    // Llama 3.1's rule: long waves are slowed by the factor, short ones are kept, and those between are interpolated.
    private double Llama3(double frequency)
    {
        var wave = 2 * Math.PI / frequency;
        if (wave < OriginalContext / HighFrequencyFactor) return frequency;
        if (wave > OriginalContext / LowFrequencyFactor) return frequency / Factor;
        var share = (OriginalContext / wave - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor);
        return (1 - share) * frequency / Factor + share * frequency;
    }

    // YaRN (Peng et al. 2023, section 3.2): a ramp over the pairs between those that rotate often and those that rotate seldom.
    private double[] Yarn(int width)
    {
        double Pair(double turns) => width * Math.Log(OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(Theta));
        double low = Pair(BetaFast), high = Pair(BetaSlow);
        if (Truncate) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        if (low == high) high += 0.001;
        return [.. Enumerable.Range(0, width / 2).Select(i =>
        {
            var frequency = Math.Pow(Theta, -2.0 * i / width);
            var stretched = Math.Clamp((i - low) / (high - low), 0, 1);
            return frequency / Factor * stretched + frequency * (1 - stretched);
        })];
    }

    private double YarnAttention()
    {
        double Scale(double m) => Factor <= 1 ? 1 : 0.1 * m * Math.Log(Factor) + 1;
        return AttentionFactor
            ?? (AttentionScales is { Scale: not 0, AllDimensions: not 0 } parts
                ? Scale(parts.Scale) / Scale(parts.AllDimensions)
                : Scale(1));
    }
}
