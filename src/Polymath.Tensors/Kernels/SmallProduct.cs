using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Polymath.Tensors.Kernels;

/// <summary>Small matrix products on one thread, for blocks that stay in the cache: attention's tiles.</summary>
internal static unsafe class SmallProduct
{
    /// <summary>
    /// c [m, n] += a [m, k] · b [k, n]. b's and c's rows are runs of floats with strides; a's element (i, l) is at a[i·rowStep +
    /// l·columnStep], so a may be a transposed view.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Add(
        int m,
        int n,
        int k,
        float* a,
        long rowStep,
        long columnStep,
        float* b,
        long bStride,
        float* c,
        long cStride)
    {
        var i = 0;
        for (; i <= m - 4; i += 4)
        {
            var j = 0;
            for (; j <= n - 16; j += 16)
                Tile4x16(
                    k,
                    a + i * rowStep,
                    rowStep,
                    columnStep,
                    b + j,
                    bStride,
                    c + i * cStride + j,
                    cStride);
            for (; j <= n - 8; j += 8)
                for (var r = 0; r < 4; r++)
                    Row8(
                        k,
                        a + (i + r) * rowStep,
                        columnStep,
                        b + j,
                        bStride,
                        c + (i + r) * cStride + j);
            for (; j < n; j++)
                for (var r = 0; r < 4; r++)
                    c[(i + r) * cStride + j] += Cell(
                        k,
                        a + (i + r) * rowStep,
                        columnStep,
                        b + j,
                        bStride);
        }
        for (; i < m; i++)
        {
            var j = 0;
            for (; j <= n - 8; j += 8)
                Row8(
                    k,
                    a + i * rowStep,
                    columnStep,
                    b + j,
                    bStride,
                    c + i * cStride + j);
            for (; j < n; j++)
                c[i * cStride + j] += Cell(
                    k,
                    a + i * rowStep,
                    columnStep,
                    b + j,
                    bStride);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tile4x16(
        int k,
        float* a,
        long rowStep,
        long columnStep,
        float* b,
        long bStride,
        float* c,
        long cStride)
    {
        Vector256<float> c00 =
            default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
        float* a1 = a + rowStep, a2 = a + 2 * rowStep, a3 = a + 3 * rowStep;
        for (var l = 0; l < k; l++, b += bStride)
        {
            Vector256<float> b0 = Vector256.Load(b), b1 = Vector256.Load(b + 8);
            var at = l * columnStep;
            var x = Vector256.Create(a[at]);
            c00 = Vector256.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector256.FusedMultiplyAdd(x, b1, c01);
            x = Vector256.Create(a1[at]);
            c10 = Vector256.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector256.FusedMultiplyAdd(x, b1, c11);
            x = Vector256.Create(a2[at]);
            c20 = Vector256.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector256.FusedMultiplyAdd(x, b1, c21);
            x = Vector256.Create(a3[at]);
            c30 = Vector256.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector256.FusedMultiplyAdd(x, b1, c31);
        }
        AddTo(c, c00, c01);
        AddTo(c + cStride, c10, c11);
        AddTo(c + 2 * cStride, c20, c21);
        AddTo(c + 3 * cStride, c30, c31);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(float* c, Vector256<float> x, Vector256<float> y)
    {
        (Vector256.Load(c) + x).Store(c);
        (Vector256.Load(c + 8) + y).Store(c + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Row8(
        int k,
        float* a,
        long columnStep,
        float* b,
        long bStride,
        float* c)
    {
        Vector256<float> sum = default;
        for (var l = 0; l < k; l++, b += bStride)
            sum = Vector256.FusedMultiplyAdd(Vector256.Create(a[l * columnStep]), Vector256.Load(b), sum);
        (Vector256.Load(c) + sum).Store(c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Cell(
        int k,
        float* a,
        long columnStep,
        float* b,
        long bStride)
    {
        var sum = 0f;
        for (var l = 0; l < k; l++) sum += a[l * columnStep] * b[l * bStride];
        return sum;
    }
}
