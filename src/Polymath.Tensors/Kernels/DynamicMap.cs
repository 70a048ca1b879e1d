namespace Polymath.Tensors.Kernels;

/// <summary>
/// The 256 numbers between -1 and 1 (or 0 and 1) that 8-bit codes stand for: dynamic tree quantization (Dettmers 2016, "8-Bit
/// Approximations for Parallelism in Deep Learning", as extended in Dettmers et al. 2022, section 1.3), as bitsandbytes'
/// <c>create_dynamic_map</c> makes them. The numbers lie in seven decades; the larger the decade, the more of them.
/// </summary>
public sealed class DynamicMap
{
    private const int Decades = 7;

    // For the upper 16 bits of a 32-bit float the code of the least such float; the code of the float itself is at most a few above.
    private readonly byte[] starts = new byte[1 << 16];
    private readonly float[] values, middles;

    private DynamicMap(bool signed)
    {
        values = Numbers(signed);
        middles = [.. values.Zip(values.Skip(1), (low, high) => (low + high) / 2)];
        for (var bits = 0; bits < starts.Length; bits++)
        {
            var negative = bits >= 1 << 15;
            var least = BitConverter.Int32BitsToSingle((bits << 16) | (negative ? 0xffff : 0));
            starts[bits] = float.IsFinite(least) ? (byte)middles.Count(middle => middle < least) : (byte)0;
        }
    }

    /// <summary>The numbers from -1 to 1, for first moments.</summary>
    public static DynamicMap Signed { get; } = new(signed: true);

    /// <summary>The numbers from 0 to 1, for second moments.</summary>
    public static DynamicMap Unsigned { get; } = new(signed: false);

    /// <summary>The numbers, in rising order: a code is a place here.</summary>
    public ReadOnlySpan<float> Values => values;

    /// <summary>What lies halfway between each number and the next; a number there gets the lower code.</summary>
    public ReadOnlySpan<float> Middles => middles;

    /// <summary>Where <see cref="CodeOf"/> starts looking, for the upper 16 bits of a number.</summary>
    internal ReadOnlySpan<byte> Starts => starts;

    /// <summary>The code of the nearest number; the lower one where two are as near.</summary>
    /// <param name="x">A number from -1 to 1.</param>
    public byte CodeOf(float x)
    {
        int code = starts[BitConverter.SingleToUInt32Bits(x) >> 16];
        while (code < middles.Length && x > middles[code]) code++;
        return (byte)code;
    }

    private static float[] Numbers(bool signed)
    {
        var numbers = new List<float> { 0, 1 };
        for (var decade = 0; decade < Decades; decade++)
        {
            // Halves of equal parts of [0.1, 1], as many as this decade has codes for.
            var parts = 1 << (signed ? decade : decade + 1);
            var scale = (float)Math.Pow(10, decade - (Decades - 1));
            for (var i = 0; i < parts; i++)
            {
                var number = (Edge(i, parts) + Edge(i + 1, parts)) / 2 * scale;
                numbers.Add(number);
                if (signed) numbers.Add(-number);
            }
        }
        return [.. numbers.Order()];
    }

    // As torch.linspace(0.1, 1, parts + 1) counts, from the nearer end, on a CPU that multiplies and adds at once; on an older one some
    // numbers differ in the last place.
    private static float Edge(int i, int parts)
    {
        var step = (1f - 0.1f) / parts;
        return i < (parts + 1) / 2 ? MathF.FusedMultiplyAdd(step, i, 0.1f) : MathF.FusedMultiplyAdd(-step, parts - i, 1f);
    }
}
