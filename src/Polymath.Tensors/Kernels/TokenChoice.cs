using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace Polymath.Tensors.Kernels;

/// <summary>How the token of one row is chosen.</summary>
/// <param name="Temperature">Logits are divided by it; 0 chooses the greatest.</param>
/// <param name="TopK">Only the K most probable tokens; 0 for all.</param>
/// <param name="TopP">Only the most probable tokens that together reach this share of what top-k leaves; 1 for all.</param>
/// <param name="MinP">Only tokens with at least this share of the most probable one's probability; 0 for all.</param>
/// <param name="Draw">A random number in [0, 1).</param>
/// <param name="Scores">Whether the log-probability of a greatest token is computed, too; that of a drawn one always is.</param>
public readonly record struct ChoiceRule(
    double Temperature,
    int TopK = 0,
    double TopP = 1,
    double MinP = 0,
    double Draw = 0,
    bool Scores = false)
{
    /// <summary>Whether the greatest logit is chosen.</summary>
    public bool IsGreedy => Temperature == 0 || TopK == 1;
}

/// <summary>
/// Chooses a token for each row of logits, rows in parallel. Nothing is copied, and the vocabulary is not sorted: weights are summed in
/// blocks, so that only one block is walked through, and limits are found among buckets of similar weights.
/// </summary>
public static unsafe class TokenChoice
{
    // A lower temperature would overflow 32 bits; this one is already greedy.
    private const double Coldest = 1e30;

    private const int Block = 1024;

    private struct State
    {
        internal float* Logits, Scores;
        internal int* Tokens;
        internal ChoiceRule* Rules;
        internal int Vocabulary, Faults;
    }

    /// <summary>Chooses a token for each row.</summary>
    /// <param name="logits">The logits [rows, vocabulary], contiguous 32-bit floats on the CPU; those of drawn rows are changed.</param>
    /// <param name="rules">How each row's token is chosen.</param>
    /// <param name="tokens">Receives each row's token.</param>
    /// <param name="scores">Receives log softmax(logits / temperature) of each token, before limits apply; for temperature 0 that of the
    /// logits themselves, and NaN where it was not asked for.</param>
    /// <returns>Whether all logits are finite; where not, the row has no token and its logits are unchanged.</returns>
    public static bool Of(Tensor logits, ReadOnlySpan<ChoiceRule> rules, Span<int> tokens, Span<float> scores)
    {
        ArgumentNullException.ThrowIfNull(logits);
        if (!FastPath.Takes(logits)) throw new ArgumentException("Logits must be contiguous 32-bit floats on the CPU.", nameof(logits));
        if (rules.Length != logits.size(0) || tokens.Length != rules.Length || scores.Length != rules.Length)
            throw new ArgumentException($"{rules.Length} rules are given for {logits.size(0)} rows of logits.", nameof(rules));
        fixed (ChoiceRule* rule = rules)
        fixed (int* token = tokens)
        fixed (float* score = scores)
        {
            var state = new State
            {
                Logits = (float*)LibTorch.Data(logits), Vocabulary = (int)logits.size(1), Rules = rule, Tokens = token, Scores = score,
            };
            Team.For(
                rules.Length,
                1,
                &Rows,
                &state,
                least: 2);
            GC.KeepAlive(logits);
            return state.Faults == 0;
        }
    }

    /// <summary>A row of logits in place; valid while the tensor is alive.</summary>
    /// <param name="logits">The logits [rows, vocabulary], contiguous 32-bit floats on the CPU.</param>
    /// <param name="row">The row.</param>
    public static Span<float> Row(Tensor logits, int row)
    {
        ArgumentNullException.ThrowIfNull(logits);
        var vocabulary = (int)logits.size(1);
        return new Span<float>((float*)LibTorch.Data(logits) + (long)row * vocabulary, vocabulary);
    }

    private static void Rows(long begin, long end, void* context)
    {
        ref var s = ref *(State*)context;
        var blocks = (s.Vocabulary + Block - 1) / Block;
        var sums = (double*)NativeMemory.Alloc((nuint)blocks, sizeof(double));
        for (var row = begin; row < end; row++)
        {
            var x = s.Logits + row * s.Vocabulary;
            if (!IsFinite(x, s.Vocabulary))
            {
                Interlocked.Increment(ref s.Faults);
                continue;
            }
            ref var rule = ref s.Rules[row];
            s.Tokens[row] = rule.IsGreedy
                ? Greatest(x, s.Vocabulary, in rule, out s.Scores[row])
                : Drawn(
                    x,
                    s.Vocabulary,
                    in rule,
                    sums,
                    out s.Scores[row]);
        }
        NativeMemory.Free(sums);
    }

    // x·0 is NaN for NaN and for infinite numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsFinite(float* x, int n)
    {
        Vector256<float> a = default, b = default;
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            a = Vector256.FusedMultiplyAdd(Vector256.Load(x + i), Vector256<float>.Zero, a);
            b = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 8), Vector256<float>.Zero, b);
        }
        var sum = Vector256.Sum(a + b);
        for (; i < n; i++) sum += x[i] * 0;
        return sum == 0;
    }

    private static int Greatest(float* x, int n, in ChoiceRule rule, out float score)
    {
        var top = Vectors.Max(x, n, float.NegativeInfinity);
        score = float.NaN;
        if (rule.Scores)
        {
            var inverse = rule.Temperature == 0 ? 1 : 1 / rule.Temperature;
            double total = 0;
            for (var i = 0; i < n; i++) total += Math.Exp((x[i] - (double)top) * inverse);
            score = (float)-Math.Log(total);
        }
        return new ReadOnlySpan<float>(x, n).IndexOf(top);
    }

    private static int Drawn(
        float* x,
        int n,
        in ChoiceRule rule,
        double* sums,
        out float score)
    {
        Vectors.Scale(x, (float)Math.Min(1 / rule.Temperature, Coldest), n);
        var top = Vectors.Max(x, n, float.NegativeInfinity);
        var whole = Weigh(x, top, n, sums);
        var total = whole;
        var limit = ChoiceLimit.None;
        if (rule.TopK > 0 || rule.TopP < 1) limit = ChoiceLimit.Of(
            x,
            n,
            rule.TopK,
            rule.TopP,
            whole);
        // The greatest weight is exp(0).
        if (rule.MinP > 0) limit = limit with { Floor = rule.MinP };
        if (limit != ChoiceLimit.None) total = Kept(x, n, in limit, sums);
        var token = Walk(
            x,
            n,
            in limit,
            sums,
            rule.Draw * total);
        score = (float)(Math.Log(x[token]) - Math.Log(whole));
        return token;
    }

    // x becomes exp(x − top); the sums of its blocks, and of all.
    private static double Weigh(float* x, float top, int n, double* sums)
    {
        double total = 0;
        var s = Vector256.Create(top);
        for (int from = 0, block = 0; from < n; from += Block, block++)
        {
            Vector256<double> a = default, b = default;
            int to = Math.Min(n, from + Block), i = from;
            for (; i <= to - 8; i += 8)
            {
                var e = Vectors.Exp(Vector256.Load(x + i) - s);
                e.Store(x + i);
                var (low, high) = Vector256.Widen(e);
                a += low;
                b += high;
            }
            var sum = Vector256.Sum(a + b);
            for (; i < to; i++) sum += x[i] = MathF.Exp(x[i] - top);
            total += sums[block] = sum;
        }
        return total;
    }

    // The sums of what a limit leaves of each block.
    private static double Kept(float* x, int n, in ChoiceLimit limit, double* sums)
    {
        double total = 0;
        for (int from = 0, block = 0; from < n; from += Block, block++)
        {
            double sum = 0;
            for (var i = from; i < Math.Min(n, from + Block); i++)
                if (limit.Keeps(x[i], i)) sum += x[i];
            total += sums[block] = sum;
        }
        return total;
    }

    // The token at which the sum of the weights passes the target.
    private static int Walk(
        float* x,
        int n,
        in ChoiceLimit limit,
        double* sums,
        double target)
    {
        int from = 0, block = 0;
        for (; from + Block < n && target - sums[block] >= 0; from += Block) target -= sums[block++];
        for (var i = from; i < n; i++)
            if (limit.Keeps(x[i], i) && (target -= x[i]) < 0 && x[i] > 0) return i;
        return new ReadOnlySpan<float>(x, n).IndexOf(Vectors.Max(x, n, float.NegativeInfinity));
    }
}
