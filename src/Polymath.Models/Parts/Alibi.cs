using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Models.Parts;

/// <summary>
/// Attention with linear biases (Press et al. 2022): instead of positions, a penalty of scores by the distance of the key. The penalty of
/// head h of n is 2^(−8(h + 1)/n) per place; when n is not a power of two, the odd heads of the next power are used for the rest.
/// </summary>
/// <param name="heads">n.</param>
public sealed class Alibi(int heads) : IDisposable
{
    private Tensor? table;
    private int reach;

    /// <summary>The penalty per place of each head.</summary>
    public IReadOnlyList<float> Slopes { get; } = Of(heads);

    private static float[] Of(int heads)
    {
        var power = 1 << (int)Math.Floor(Math.Log2(heads));
        var own = Enumerable.Range(1, power).Select(i => Math.Pow(2, -8.0 * i / power));
        var between = Enumerable.Range(0, heads - power).Select(i => Math.Pow(2, -4.0 * (2 * i + 1) / power));
        return [.. own.Concat(between).Select(slope => (float)slope)];
    }

    /// <summary>The biases of rows up to a length.</summary>
    /// <param name="length">The longest row's tokens.</param>
    /// <param name="device">The device of the table.</param>
    public DistanceBias For(int length, Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        if (table is null || length > reach || table.device.type != device.type)
        {
            reach = Math.Max(256, 2 * length);
            table?.Dispose();
            var values = new float[heads * reach];
            for (var head = 0; head < heads; head++)
                for (var i = 0; i < reach; i++) values[head * reach + i] = Slopes[head] * (i - reach + 1);
            table = tensor(values, [heads, reach], device: device).DetachFromDisposeScope();
        }
        return new DistanceBias(table, reach - 1);
    }

    /// <summary>Frees the table.</summary>
    public void Dispose() => table?.Dispose();
}
