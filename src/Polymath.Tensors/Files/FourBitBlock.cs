using System.Buffers.Binary;

namespace Polymath.Tensors.Files;

/// <summary>
/// ggml's q4_K block, byte for byte as quantize_row_q4_K_ref makes it: 256 elements as eight groups of 32, x ≈ d·s·q − m·t with
/// four-bit q, six-bit s and t of the group, and d, m of the block. A group's scale and minimum are searched: twenty-one roundings are
/// tried, each refitted by weighted least squares with the weights √mean(x²) + |x|. The order of the sums affects the result.
/// </summary>
internal static class FourBitBlock
{
    private const int Group = 32, Groups = 8, Most = 15, Steps = 20;

    internal static void Write(ReadOnlySpan<float> x, Span<byte> to)
    {
        Span<float> scales = stackalloc float[Groups], minima = stackalloc float[Groups];
        Span<int> levels = stackalloc int[Group * Groups];
        float greatestScale = 0, greatestMinimum = 0;
        for (var j = 0; j < Groups; j++)
        {
            (scales[j], minima[j]) = Fit(x.Slice(Group * j, Group), levels.Slice(Group * j, Group));
            greatestScale = MathF.Max(greatestScale, scales[j]);
            greatestMinimum = MathF.Max(greatestMinimum, minima[j]);
        }
        to.Clear();
        var packed = to.Slice(4, 12);
        float inverseScale = greatestScale > 0 ? 63 / greatestScale : 0, inverseMinimum = greatestMinimum > 0 ? 63 / greatestMinimum : 0;
        for (var j = 0; j < Groups; j++)
        {
            int s = Math.Min(63, Nearest(inverseScale * scales[j])), t = Math.Min(63, Nearest(inverseMinimum * minima[j]));
            if (j < 4) (packed[j], packed[j + 4]) = ((byte)s, (byte)t);
            else
            {
                packed[j + 4] = (byte)(s & 15 | (t & 15) << 4);
                packed[j - 4] |= (byte)(s >> 4 << 6);
                packed[j] |= (byte)(t >> 4 << 6);
            }
        }
        BinaryPrimitives.WriteHalfLittleEndian(to, (Half)(greatestScale / 63));
        BinaryPrimitives.WriteHalfLittleEndian(to[2..], (Half)(greatestMinimum / 63));
        float d = (float)BinaryPrimitives.ReadHalfLittleEndian(to), m = (float)BinaryPrimitives.ReadHalfLittleEndian(to[2..]);
        for (var j = 0; j < Groups; j++)
        {
            var (s, t) = ScaleOf(packed, j);
            float step = d * s, least = m * t;
            for (var i = 0; i < Group; i++)
            {
                // A group whose scale rounds to zero keeps the levels that the search found: they have no effect, but the bytes equal
                // ggml's.
                var q = step == 0 ? levels[Group * j + i] : Math.Clamp(Nearest((x[Group * j + i] + least) / step), 0, Most);
                to[16 + j / 2 * Group + i] |= (byte)(j % 2 == 0 ? q : q << 4);
            }
        }
    }

    /// <summary>The six-bit scale and minimum of a group.</summary>
    private static (int Scale, int Minimum) ScaleOf(ReadOnlySpan<byte> packed, int group) => group < 4
        ? (packed[group] & 63, packed[group + 4] & 63)
        : (packed[group + 4] & 15 | packed[group - 4] >> 6 << 4, packed[group + 4] >> 4 | packed[group] >> 6 << 4);

    // ggml's make_qkx2_quants: the scale and the minimum (as a positive number) of a group, and its elements' levels.
    private static (float Scale, float Minimum) Fit(ReadOnlySpan<float> x, Span<int> levels)
    {
        float squares = 0, minimum = x[0], greatest = x[0];
        foreach (var value in x)
        {
            squares += value * value;
            minimum = MathF.Min(minimum, value);
            greatest = MathF.Max(greatest, value);
        }
        minimum = MathF.Min(minimum, 0);
        if (greatest == minimum)
        {
            levels.Clear();
            return (0, -minimum);
        }
        var size = MathF.Sqrt(squares / Group);
        float weights = 0, weighted = 0;
        foreach (var value in x)
        {
            weights += size + MathF.Abs(value);
            weighted += (size + MathF.Abs(value)) * value;
        }
        Span<int> q = stackalloc int[Group];
        var scale = 1 / (Most / (greatest - minimum));
        Round(x, Most / (greatest - minimum), minimum, levels);
        var best = Error(
            x,
            levels,
            scale,
            minimum,
            size);
        for (var step = 0; step <= Steps; step++)
        {
            // The rounding starts from the best minimum so far, not from the first.
            Round(x, (-1f + 0.1f * step + Most) / (greatest - minimum), minimum, q);
            if (Refit(
                x,
                q,
                size,
                weights,
                weighted) is not { Scale: var newScale, Minimum: var newMinimum }) continue;
            var error = Error(
                x,
                q,
                newScale,
                newMinimum,
                size);
            if (!(error < best)) continue;
            q.CopyTo(levels);
            (best, scale, minimum) = (error, newScale, newMinimum);
        }
        return (scale, -minimum);
    }

    // The least-squares scale and minimum for levels; null when all levels are equal.
    private static (float Scale, float Minimum)? Refit(
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> q,
        float size,
        float weights,
        float weighted)
    {
        float sum = 0, squares = 0, product = 0;
        for (var i = 0; i < Group; i++)
        {
            var weight = size + MathF.Abs(x[i]);
            sum += weight * q[i];
            squares += weight * q[i] * q[i];
            product += weight * q[i] * x[i];
        }
        var determinant = weights * squares - sum * sum;
        if (!(determinant > 0)) return null;
        var minimum = (squares * weighted - sum * product) / determinant;
        return minimum > 0 ? (product / squares, 0) : ((weights * product - weighted * sum) / determinant, minimum);
    }

    private static void Round(ReadOnlySpan<float> x, float inverse, float least, Span<int> q)
    {
        for (var i = 0; i < x.Length; i++) q[i] = Math.Clamp(Nearest(inverse * (x[i] - least)), 0, Most);
    }

    private static float Error(
        ReadOnlySpan<float> x,
        ReadOnlySpan<int> q,
        float scale,
        float minimum,
        float size)
    {
        var error = 0f;
        for (var i = 0; i < x.Length; i++)
        {
            var difference = scale * q[i] + minimum - x[i];
            error += (size + MathF.Abs(x[i])) * (difference * difference);
        }
        return error;
    }

    private static int Nearest(float x) => (int)MathF.Round(x, MidpointRounding.ToEven);
}
