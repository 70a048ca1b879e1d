using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Where the scales of blocks lie: codes into a book of levels, a scale for each 256 of them, and the mean that was taken off.
/// </summary>
unsafe struct BlockScales
{
    internal byte* Codes;
    internal float* Scales, Book;
    internal float Mean;

    /// <summary>The scale of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly float Of(long block) => Book[Codes[block]] * Scales[block / Nf4Matrix.Group] + Mean;
}

/// <summary>16 levels, looked up 16 at a time by the lowest 4 bits of each lane.</summary>
readonly struct Nf4Lookup
{
    private readonly Vector512<float> all;
    private readonly Vector256<float> low, high;

    private Nf4Lookup(Vector512<float> levels) => (all, low, high) = (levels, levels.GetLower(), levels.GetUpper());

    internal static Nf4Lookup Of(ReadOnlySpan<float> levels) => new(Vector512.Create(levels));

    /// <summary>A block's 16 words.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe Vector512<uint> Words(byte* codes)
    {
        var packed = Vector256.Load((ushort*)codes);
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector512UInt32(packed);
        var (first, second) = Vector256.Widen(packed);
        return Vector512.Create(first, second);
    }

    /// <summary>The levels of the lanes' lowest 4 bits; what stands above them does not matter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Vector512<float> At(Vector512<uint> words)
    {
        if (Avx512F.IsSupported) return Avx512F.PermuteVar16x32(all, words.AsInt32());
        if (Avx2.IsSupported) return Vector512.Create(Half(words.GetLower()), Half(words.GetUpper()));
        return Vector512.Shuffle(all, (words & Vector512.Create(15u)).AsInt32());
    }

    // The lowest 3 bits choose within each half, the fourth between them.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector256<float> Half(Vector256<uint> words) =>
        Avx.BlendVariable(
            Avx2.PermuteVar8x32(low, words.AsInt32()),
            Avx2.PermuteVar8x32(high, words.AsInt32()),
            Vector256.ShiftLeft(words, 28).AsSingle());
}
