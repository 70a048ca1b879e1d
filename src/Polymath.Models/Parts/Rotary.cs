using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>The rotary angles of a batch's tokens.</summary>
/// <param name="Cosine">[tokens, R/2].</param>
/// <param name="Sine">[tokens, R/2].</param>
/// <param name="Interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
public sealed record RotaryAngles(Tensor Cosine, Tensor Sine, bool Interleaved)
{
    /// <summary>Rotates the heads of x [tokens, heads, D].</summary>
    /// <param name="x">The heads.</param>
    public Tensor Apply(Tensor x) => Rotation.Of(x, Cosine, Sine, Interleaved);
}

/// <summary>The tables of cosines and sines of all positions, made once.</summary>
public sealed class Rotary : IDisposable
{
    private readonly RopeSettings settings;
    private readonly bool interleaved;
    private Tensor? cosines, sines;
    private int madeFor = -1;

    /// <summary>Tables for heads of a width.</summary>
    /// <param name="settings">The frequencies.</param>
    /// <param name="headWidth">The width of a head, even.</param>
    /// <param name="interleaved">Whether neighbouring elements are paired instead of the two halves.</param>
    public Rotary(RopeSettings settings, int headWidth, bool interleaved = false)
    {
        ArgumentNullException.ThrowIfNull(settings);
        (this.settings, this.interleaved) = (settings, interleaved);
        Width = settings.Type == "proportional" ? headWidth : (int)(headWidth * settings.Partial);
        settings.Check(Width);
    }

    /// <summary>The frequencies.</summary>
    public RopeSettings Settings => settings;

    /// <summary>R: how many of a head's elements are rotated.</summary>
    public int Width { get; }

    /// <summary>The length of a row beyond which the angles depend on it; null when they never do.</summary>
    public int? StretchesBeyond => settings.DependsOnLength ? (int)settings.OriginalContext : null;

    /// <summary>The angles of tokens at positions.</summary>
    /// <param name="positions">The positions.</param>
    /// <param name="device">The device of the result.</param>
    public RotaryAngles At(int[] positions, Device device)
    {
        ArgumentNullException.ThrowIfNull(positions);
        Extend(positions.Length == 0 ? 1 : positions.Max() + 1, device);
        using var index = tensor(positions, dtype: ScalarType.Int32, device: device);
        return new RotaryAngles(cosines!.index_select(0, index), sines!.index_select(0, index), interleaved);
    }

    private void Extend(int count, Device device)
    {
        // Tables that depend on the longest row are computed for each length beyond the original context, the others once.
        var beyond = settings.Grows ? count : 1;
        var kind = !settings.DependsOnLength || count <= settings.OriginalContext ? 0 : beyond;
        if (cosines is not null && kind == madeFor && cosines.size(0) >= count && cosines.device.type == device.type) return;
        // The size is doubled, so that generation does not compute a table for each token.
        var rows = 256;
        while (rows < count) rows *= 2;
        if (settings.Grows && kind > 0) rows = count;
        var (frequencies, attention) = settings.For(Width, count);
        var angles = new float[2][];
        for (var part = 0; part < 2; part++)
        {
            angles[part] = new float[rows * frequencies.Length];
            for (var p = 0; p < rows; p++)
                for (var i = 0; i < frequencies.Length; i++)
                {
                    // Angles are rounded to 32 bits first, as transformers computes them.
                    var angle = (float)p * (float)frequencies[i];
                    angles[part][p * frequencies.Length + i] = (part == 0 ? MathF.Cos(angle) : MathF.Sin(angle)) * (float)attention;
                }
        }
        Dispose();
        cosines = tensor(angles[0], [rows, frequencies.Length], device: device).DetachFromDisposeScope();
        sines = tensor(angles[1], [rows, frequencies.Length], device: device).DetachFromDisposeScope();
        madeFor = kind;
    }

    /// <summary>Frees the tables.</summary>
    public void Dispose()
    {
        cosines?.Dispose();
        sines?.Dispose();
    }
}
