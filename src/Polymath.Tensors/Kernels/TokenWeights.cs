using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>Turns logits into unnormalised probabilities for sampling, rows in parallel: exp((x − max x)/temperature).</summary>
public static unsafe class TokenWeights
{
    // A lower temperature would overflow 32 bits; this one is already greedy.
    private const double Coldest = 1e30;

    private struct State
    {
        internal float* Logits;
        internal int Vocabulary;
        internal float Inverse;
    }

    /// <summary>
    /// The weights [rows, vocabulary] as an array, row after row. With temperature 0 these are the logits themselves, of which the largest
    /// is chosen.
    /// </summary>
    /// <param name="logits">The logits [rows, vocabulary]; changed in place.</param>
    /// <param name="temperature">The temperature.</param>
    public static float[] Of(Tensor logits, double temperature)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using var dense = logits.to(ScalarType.Float32).cpu().contiguous();
        if (temperature > 0)
        {
            var state = new State
            {
                Logits = (float*)LibTorch.Data(dense), Vocabulary = (int)dense.size(1), Inverse = (float)Math.Min(1 / temperature, Coldest),
            };
            LibTorch.For(dense.size(0), 1, &Rows, &state);
        }
        return dense.data<float>().ToArray();
    }

    /// <summary>The place of each row's largest logit, the first of equal ones; nothing is copied.</summary>
    /// <param name="logits">The logits [rows, vocabulary].</param>
    public static int[] Greatest(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using var dense = logits.to(ScalarType.Float32).cpu().contiguous();
        var vocabulary = (int)dense.size(1);
        var places = new int[dense.size(0)];
        for (var row = 0; row < places.Length; row++)
        {
            var x = (float*)LibTorch.Data(dense) + (long)row * vocabulary;
            // When there is no largest value (all are NaN), the first one is used.
            places[row] = Math.Max(0, new ReadOnlySpan<float>(x, vocabulary).IndexOf(Vectors.Max(x, vocabulary, float.NegativeInfinity)));
        }
        return places;
    }

    [UnmanagedCallersOnly]
    private static void Rows(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        for (var row = begin; row < end; row++)
        {
            var x = s.Logits + row * s.Vocabulary;
            Vectors.Scale(x, s.Inverse, s.Vocabulary);
            Vectors.ExpSum(x, Vectors.Max(x, s.Vocabulary, float.NegativeInfinity), s.Vocabulary);
        }
    }
}
