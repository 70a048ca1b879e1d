using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Polymath.Tensors.Kernels;

/// <summary>
/// Arithmetic on runs of floats. Everything is inlined: inside native callbacks, calls that are not inlined stay unoptimised.
/// </summary>
internal static unsafe class Vectors
{
    /// <summary>Σ a·b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Dot(float* a, float* b, int n)
    {
        Vector256<float> s0 = default, s1 = default;
        var i = 0;
        for (; i <= n - 16; i += 16)
        {
            s0 = Vector256.FusedMultiplyAdd(Vector256.Load(a + i), Vector256.Load(b + i), s0);
            s1 = Vector256.FusedMultiplyAdd(Vector256.Load(a + i + 8), Vector256.Load(b + i + 8), s1);
        }
        var sum = Vector256.Sum(s0 + s1);
        for (; i < n; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>y += scale·x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void AddScaled(float* y, float* x, float scale, int n)
    {
        var s = Vector256.Create(scale);
        var i = 0;
        for (; i <= n - 8; i += 8) Vector256.FusedMultiplyAdd(s, Vector256.Load(x + i), Vector256.Load(y + i)).Store(y + i);
        for (; i < n; i++) y[i] += scale * x[i];
    }

    /// <summary>y *= scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Scale(float* y, float scale, int n)
    {
        var s = Vector256.Create(scale);
        var i = 0;
        for (; i <= n - 8; i += 8) (Vector256.Load(y + i) * s).Store(y + i);
        for (; i < n; i++) y[i] *= scale;
    }

    /// <summary>The largest of n floats, at least <paramref name="floor"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float Max(float* x, int n, float floor)
    {
        var m = Vector256.Create(floor);
        var i = 0;
        for (; i <= n - 8; i += 8) m = Vector256.Max(m, Vector256.Load(x + i));
        var greatest = floor;
        for (var lane = 0; lane < 8; lane++) greatest = MathF.Max(greatest, m.GetElement(lane));
        for (; i < n; i++) greatest = MathF.Max(greatest, x[i]);
        return greatest;
    }

    /// <summary>y = exp(x − shift) in place; returns the sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float ExpSum(float* x, float shift, int n)
    {
        var s = Vector256.Create(shift);
        Vector256<float> sum = default;
        var i = 0;
        for (; i <= n - 8; i += 8)
        {
            var e = Exp(Vector256.Load(x + i) - s);
            e.Store(x + i);
            sum += e;
        }
        var total = Vector256.Sum(sum);
        for (; i < n; i++) total += x[i] = MathF.Exp(x[i] - shift);
        return total;
    }

    /// <summary>Σ exp(x − shift); x does not change.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float ExpSumOnly(float* x, float shift, int n)
    {
        var s = Vector256.Create(shift);
        Vector256<float> sum = default;
        var i = 0;
        for (; i <= n - 8; i += 8) sum += Exp(Vector256.Load(x + i) - s);
        var total = Vector256.Sum(sum);
        for (; i < n; i++) total += MathF.Exp(x[i] - shift);
        return total;
    }

    /// <summary>
    /// exp of eight floats to 2 units in the last place: 2^n·p(r) with x = n·ln 2 + r and p the polynomial of Cephes' expf; 0 below
    /// −87.3, clamped above 88.3.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector256<float> Exp(Vector256<float> x)
    {
        var tiny = Vector256.LessThan(x, Vector256.Create(-87.33654f));
        x = Vector256.Min(Vector256.Max(x, Vector256.Create(-87.33654f)), Vector256.Create(88.37626f));
        var n = Vector256.Floor(Vector256.FusedMultiplyAdd(x, Vector256.Create(1.44269504f), Vector256.Create(0.5f)));
        var r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-0.693359375f), x);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(2.12194440e-4f), r);
        var p = Vector256.Create(1.9875691500e-4f);
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.3981999507e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(8.3334519073e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(4.1665795894e-2f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.6666665459e-1f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(5.0000001201e-1f));
        p = Vector256.FusedMultiplyAdd(p, r * r, r + Vector256<float>.One);
        var power = Vector256.ShiftLeft(Vector256.ConvertToInt32(n) + Vector256.Create(127), 23).AsSingle();
        return Vector256.ConditionalSelect(tiny, Vector256<float>.Zero, p * power);
    }
}
