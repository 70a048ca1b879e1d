using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Goes over a compressed matrix in slices of rows, each widened into the same buffer.</summary>
internal static class Slices
{
    // A slice of four million floats: large enough for products at full speed, small compared with any model that needs this.
    private const long Elements = 4 << 20;

    /// <summary>Widens each slice and uses it.</summary>
    /// <param name="rows">out.</param>
    /// <param name="columns">in.</param>
    /// <param name="widen">Writes rows, from and how many, into [size, in].</param>
    /// <param name="use">Uses rows, from and how many, [size, in].</param>
    internal static void Over(long rows, long columns, Action<long, long, Tensor> widen, Action<long, long, Tensor> use)
    {
        var most = Math.Min(rows, Math.Max(64, Elements / Math.Max(1, columns)));
        var room = Interlocked.Exchange(ref only.room, null);
        try
        {
            if (room is null || room.numel() < most * columns)
            {
                room?.Dispose();
                room = empty(Math.Max(Elements, most * columns)).DetachFromDisposeScope();
            }
            for (long from = 0; from < rows; from += most)
            {
                var size = Math.Min(most, rows - from);
                using var run = room.narrow(0, 0, size * columns);
                using var wide = run.view(size, columns);
                widen(from, size, wide);
                use(from, size, wide);
            }
        }
        finally
        {
            room = Interlocked.Exchange(ref only.room, room);
            room?.Dispose();
        }
    }

    // The buffer of one slice is kept. If it were allocated for each product, it would lie between tensors that live longer, and the heap
    // would grow by one slice per layer.
    private sealed class Slice
    {
        internal Tensor? room;
    }

    private static readonly Slice only = new();
}
