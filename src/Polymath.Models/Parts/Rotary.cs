using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>Rotary positions and how they are stretched for longer contexts, as <c>rope_parameters</c> in a configuration says.</summary>
/// <param name="Theta">The base of the frequencies.</param>
/// <param name="Type"><c>default</c> or <c>llama3</c>.</param>
/// <param name="Factor">How far the context is stretched (llama3).</param>
/// <param name="LowFrequencyFactor">Wavelengths above original/this are stretched in full (llama3).</param>
/// <param name="HighFrequencyFactor">Wavelengths below original/this are left alone (llama3).</param>
/// <param name="OriginalContext">The context before the stretch (llama3).</param>
public sealed record RopeSettings(
    double Theta = 10000, string Type = "default", double Factor = 1, double LowFrequencyFactor = 1, double HighFrequencyFactor = 4, double OriginalContext = 8192);

/// <summary>The tables of cosines and sines of all positions, made once.</summary>
public sealed class Rotary : IDisposable
{
    readonly double[] frequencies;
    Tensor? cosines, sines;

    /// <summary>Tables for heads of a width.</summary>
    /// <param name="settings">The frequencies.</param>
    /// <param name="headWidth">The width of a head, even.</param>
    public Rotary(RopeSettings settings, int headWidth)
    {
        ArgumentNullException.ThrowIfNull(settings);
        frequencies = [.. Enumerable.Range(0, headWidth / 2).Select(i => Stretch(settings, Math.Pow(settings.Theta, -2.0 * i / headWidth)))];
    }

    /// <summary>Cosine and sine [tokens, width/2] of each token's position.</summary>
    /// <param name="positions">The positions.</param>
    /// <param name="device">Where they are wanted.</param>
    public (Tensor Cosine, Tensor Sine) At(int[] positions, Device device)
    {
        ArgumentNullException.ThrowIfNull(positions);
        Extend(positions.Length == 0 ? 1 : positions.Max() + 1, device);
        using var index = tensor(positions, dtype: ScalarType.Int32, device: device);
        return (cosines!.index_select(0, index), sines!.index_select(0, index));
    }

    void Extend(int count, Device device)
    {
        if (cosines is not null && cosines.shape[0] >= count && cosines.device.type == device.type) return;
        // Grown by doubling, so that generating token by token does not make a table each time.
        var rows = 256;
        while (rows < count) rows *= 2;
        var angles = new float[2][];
        for (var part = 0; part < 2; part++)
        {
            angles[part] = new float[rows * frequencies.Length];
            for (var p = 0; p < rows; p++)
                for (var i = 0; i < frequencies.Length; i++)
                {
                    // Angles are rounded to 32 bits first, as transformers computes them.
                    var angle = (float)p * (float)frequencies[i];
                    angles[part][p * frequencies.Length + i] = part == 0 ? MathF.Cos(angle) : MathF.Sin(angle);
                }
        }
        Dispose();
        cosines = tensor(angles[0], [rows, frequencies.Length], device: device).DetachFromDisposeScope();
        sines = tensor(angles[1], [rows, frequencies.Length], device: device).DetachFromDisposeScope();
    }

    // Llama 3.1's rule: long waves are slowed by the factor, short ones kept, those between blended.
    static double Stretch(RopeSettings s, double frequency)
    {
        if (s.Type != "llama3") return frequency;
        var wave = 2 * Math.PI / frequency;
        if (wave < s.OriginalContext / s.HighFrequencyFactor) return frequency;
        if (wave > s.OriginalContext / s.LowFrequencyFactor) return frequency / s.Factor;
        var share = (s.OriginalContext / wave - s.LowFrequencyFactor) / (s.HighFrequencyFactor - s.LowFrequencyFactor);
        return (1 - share) * frequency / s.Factor + share * frequency;
    }

    /// <summary>Frees the tables.</summary>
    public void Dispose()
    {
        cosines?.Dispose();
        sines?.Dispose();
    }
}
