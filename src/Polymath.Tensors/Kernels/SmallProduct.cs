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
            if (Vector512.IsHardwareAccelerated)
                for (; j <= n - 64; j += 64)
                    Tile4x64(
                        k,
                        a + i * rowStep,
                        rowStep,
                        columnStep,
                        b + j,
                        bStride,
                        c + i * cStride + j,
                        cStride);
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

    // Each result has the same sum as in the narrow tile.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tile4x64(
        int k,
        float* a,
        long rowStep,
        long columnStep,
        float* b,
        long bStride,
        float* c,
        long cStride)
    {
        Vector512<float> c00 = default, c01 = default, c02 = default, c03 = default, c10 = default, c11 = default, c12 = default;
        Vector512<float> c13 = default, c20 = default, c21 = default, c22 = default, c23 = default, c30 = default, c31 = default;
        Vector512<float> c32 = default, c33 = default;
        float* a1 = a + rowStep, a2 = a + 2 * rowStep, a3 = a + 3 * rowStep;
        for (var l = 0; l < k; l++, b += bStride)
        {
            Vector512<float> b0 = Vector512.Load(b), b1 = Vector512.Load(b + 16), b2 = Vector512.Load(b + 32), b3 = Vector512.Load(b + 48);
            var at = l * columnStep;
            var x = Vector512.Create(a[at]);
            c00 = Vector512.FusedMultiplyAdd(x, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(x, b1, c01);
            c02 = Vector512.FusedMultiplyAdd(x, b2, c02);
            c03 = Vector512.FusedMultiplyAdd(x, b3, c03);
            x = Vector512.Create(a1[at]);
            c10 = Vector512.FusedMultiplyAdd(x, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(x, b1, c11);
            c12 = Vector512.FusedMultiplyAdd(x, b2, c12);
            c13 = Vector512.FusedMultiplyAdd(x, b3, c13);
            x = Vector512.Create(a2[at]);
            c20 = Vector512.FusedMultiplyAdd(x, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(x, b1, c21);
            c22 = Vector512.FusedMultiplyAdd(x, b2, c22);
            c23 = Vector512.FusedMultiplyAdd(x, b3, c23);
            x = Vector512.Create(a3[at]);
            c30 = Vector512.FusedMultiplyAdd(x, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(x, b1, c31);
            c32 = Vector512.FusedMultiplyAdd(x, b2, c32);
            c33 = Vector512.FusedMultiplyAdd(x, b3, c33);
        }
        AddTo(c, c00, c01);
        AddTo(c + 32, c02, c03);
        AddTo(c + cStride, c10, c11);
        AddTo(c + cStride + 32, c12, c13);
        AddTo(c + 2 * cStride, c20, c21);
        AddTo(c + 2 * cStride + 32, c22, c23);
        AddTo(c + 3 * cStride, c30, c31);
        AddTo(c + 3 * cStride + 32, c32, c33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo(float* c, Vector512<float> x, Vector512<float> y)
    {
        (Vector512.Load(c) + x).Store(c);
        (Vector512.Load(c + 16) + y).Store(c + 16);
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
