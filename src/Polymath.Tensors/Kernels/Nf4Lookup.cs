using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Polymath.Tensors.Kernels;

/// <summary>The scales of blocks: codes into a table of levels, one scale per 256 of them, and the mean that was subtracted.</summary>
internal unsafe struct BlockScales
{
    internal byte* Codes;
    internal float* Scales, Book;
    internal float Mean;

    /// <summary>The scale of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly float Of(long block) => Book[Codes[block]] * Scales[block / Nf4Matrix.Group] + Mean;
}

/// <summary>A table of 16 levels, with 16 lookups at a time by the lowest 4 bits of each lane.</summary>
internal readonly struct Nf4Lookup
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

    /// <summary>The levels of the lanes' lowest 4 bits; higher bits are ignored.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Vector512<float> At(Vector512<uint> words)
    {
        if (Avx512F.IsSupported) return Avx512F.PermuteVar16x32(all, words.AsInt32());
        if (Avx2.IsSupported) return Vector512.Create(Half(words.GetLower()), Half(words.GetUpper()));
        return Vector512.Shuffle(all, (words & Vector512.Create(15u)).AsInt32());
    }

    // The lowest 3 bits choose within each half, the fourth bit chooses the half.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector256<float> Half(Vector256<uint> words) =>
        Avx.BlendVariable(
            Avx2.PermuteVar8x32(low, words.AsInt32()),
            Avx2.PermuteVar8x32(high, words.AsInt32()),
            Vector256.ShiftLeft(words, 28).AsSingle());
}
