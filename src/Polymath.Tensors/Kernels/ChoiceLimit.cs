using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// The tokens that top-k, top-p and min-p leave: those whose weight is above the least one, those of the least weight up to a place, and
/// none below a floor.
/// </summary>
/// <param name="Least">The least weight.</param>
/// <param name="LastPlace">Of tokens of just this weight, the last one's place.</param>
/// <param name="Floor">No weight is below it.</param>
internal readonly record struct ChoiceLimit(float Least, int LastPlace, double Floor = 0)
{
    // Weights are at most 1, and those with the same sign, exponent and first seven binary places share a bucket.
    private const int Shift = 16, Buckets = (0x3F80 | 1) + 1;

    /// <summary>Keeps all tokens.</summary>
    internal static readonly ChoiceLimit None = new(0, int.MaxValue);

    /// <summary>Whether a token is kept.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool Keeps(float weight, int place) => (weight > Least || weight == Least && place <= LastPlace) && weight >= Floor;

    /// <summary>
    /// The limit of top-k and top-p. Tokens are counted in buckets of similar weights; only the bucket in which a limit lies is sorted,
    /// equal weights by their places.
    /// </summary>
    /// <param name="w">The weights, the greatest of which is 1.</param>
    /// <param name="n">How many.</param>
    /// <param name="topK">The most tokens; 0 for all.</param>
    /// <param name="topP">The share of what top-k leaves that the tokens reach.</param>
    /// <param name="total">The sum of all weights.</param>
    internal static unsafe ChoiceLimit Of(
        float* w,
        int n,
        int topK,
        double topP,
        double total)
    {
        if (topK == 0 || topK > n) topK = n;
        var sums = (double*)NativeMemory.AllocZeroed(Buckets, sizeof(double) + sizeof(int));
        var counts = (int*)(sums + Buckets);
        var sorted = (ulong*)NativeMemory.Alloc((nuint)n, sizeof(ulong));
        for (var i = 0; i < n; i++)
        {
            var bucket = BitConverter.SingleToUInt32Bits(w[i]) >> Shift;
            sums[bucket] += w[i];
            counts[bucket]++;
        }
        if (topK < n) total = OfMost(
            w,
            n,
            topK,
            sums,
            counts,
            sorted);
        var limit = None;
        double kept = 0;
        var count = 0;
        var open = true;
        for (var bucket = Buckets - 1; bucket >= 0 && open; bucket--)
        {
            if (counts[bucket] == 0) continue;
            if (count + counts[bucket] <= topK && kept + sums[bucket] < topP * total)
            {
                (kept, count) = (kept + sums[bucket], count + counts[bucket]);
                limit = new ChoiceLimit(BitConverter.UInt32BitsToSingle((uint)bucket << Shift), int.MaxValue);
                continue;
            }
            Sort(w, n, bucket, sorted);
            for (var i = 0; i < counts[bucket] && open; i++)
            {
                open = count == 0 || count < topK && kept < topP * total;
                if (!open) break;
                var place = (int)(uint)sorted[i];
                limit = new ChoiceLimit(w[place], place);
                (kept, count) = (kept + w[place], count + 1);
            }
        }
        NativeMemory.Free(sums);
        NativeMemory.Free(sorted);
        return limit;
    }

    // The sum of the greatest weights.
    private static unsafe double OfMost(
        float* w,
        int n,
        int most,
        double* sums,
        int* counts,
        ulong* sorted)
    {
        double total = 0;
        for (var bucket = Buckets - 1; most > 0; bucket--)
        {
            if (counts[bucket] <= most)
            {
                total += sums[bucket];
                most -= counts[bucket];
                continue;
            }
            Sort(w, n, bucket, sorted);
            for (var i = 0; i < most; i++) total += w[(int)(uint)sorted[i]];
            break;
        }
        return total;
    }

    // The places of a bucket's tokens, the greatest weight first, of equal ones the first place.
    private static unsafe void Sort(float* w, int n, int bucket, ulong* sorted)
    {
        var count = 0;
        for (var i = 0; i < n; i++)
        {
            var bits = BitConverter.SingleToUInt32Bits(w[i]);
            if (bits >> Shift == bucket) sorted[count++] = (ulong)~bits << 32 | (uint)i;
        }
        new Span<ulong>(sorted, count).Sort();
    }
}
